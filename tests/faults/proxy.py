"""A loopback proxy that can act before a request and before its response."""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16


class Proxy:
    """A proxy for a protocol in which requests and responses alternate (HTTP/1.1, PostgreSQL).

    Args:
        host: The server's.
        port: The server's.
        act: Called as `act(n, "before", first bytes)` before any of the n-th request is passed on,
            and as `act(n, "after", first bytes)` before any of its response is.
    """

    def __init__(self, host: str, port: int, act: Callable[[int, str, bytes], None]) -> None:
        self._upstream, self._act = (host, port), act
        self._turn, self._lock = 0, threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for one in list(self._open):
            # Closing a socket that a thread reads does not end its connection: the server would
            # keep the session of a killed process, with its locks.
            _end(one)
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
            except OSError:
                return
            self._open |= {client, server}
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(self, client, server)
            for run in (connection.requests, connection.answers):
                self._threads.append(threading.Thread(target=run, daemon=True))
                self._threads[-1].start()

    def act(self, phase: str, turn: int, data: bytes) -> int:
        """Act; `turn` 0 is a new request, which is counted. Return the request's number."""
        with self._lock:
            if not turn:
                self._turn += 1
                turn = self._turn
            self._act(turn, phase, data)
            return turn


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._turn = 0  # 0: no request is pending
        self._asked = b""

    def requests(self) -> None:
        while data := _receive(self._client):
            if not self._turn:
                self._asked = data
                self._turn = self._proxy.act("before", 0, data)
            _send(self._server, data)
        _end(self._server)

    def answers(self) -> None:
        while data := _receive(self._server):
            if self._turn:
                self._proxy.act("after", self._turn, self._asked)
                self._turn = 0
            _send(self._client, data)
        _end(self._client)


def _receive(one: socket.socket) -> bytes:
    try:
        return one.recv(_CHUNK)
    except OSError:
        return b""


def _send(one: socket.socket, data: bytes) -> None:
    try:
        one.sendall(data)
    except OSError:
        return


def _end(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
