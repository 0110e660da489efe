"""A loopback proxy that can change or break each request and each response.

Toxiproxy (github.com/Shopify/toxiproxy/v2) was compared: it knows TCP only. It can delay, cut,
or reset a connection after a time or a number of bytes, but not before the second PUT of a result,
nor between the store's response and its arrival, and it cannot respond 503 or change an ETag.
So a fault would hit a different request in each run.
"""

import ctypes
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

_CHUNK = 1 << 16
_HEAD_END = b"\r\n\r\n"
# A socket with such a filter drops each packet before TCP sees it (linux/filter.h, socket(7)).
_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # asm-generic/socket.h; Python does not name them
_DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0), 8)  # BPF_RET, 0 bytes
_FILTER = struct.pack("HL", 1, ctypes.addressof(_DROP_ALL))


@dataclass(frozen=True)
class Response:
    """A response that the client gets instead of the server's.

    Attributes:
        content: The bytes.
        closes: Whether the connection ends with them.
    """

    content: bytes
    closes: bool = True


@dataclass(frozen=True)
class Break:
    """The end of a message that is passed on in part, or not at all.

    Attributes:
        how: The connection is reset, is closed properly, or stays open and silent.
        body: How many bytes of the body pass, None if not even the head does.
    """

    how: Literal["reset", "close", "stall"]
    body: int | None = None


@dataclass(frozen=True)
class Rewrite:
    """A change of the first piece of a message: its head, and what was received with it."""

    change: Callable[[bytes], bytes]


Fault = Response | Break | Rewrite
#: Called with a request's number, "before" or "after", and the request's first bytes; returns
#: what happens to the request or its response.
Act = Callable[[int, str, bytes], Fault | None]


class Proxy:
    """A proxy for a protocol in which requests and responses alternate (HTTP/1.1, PostgreSQL).

    Args:
        host: The server's.
        port: The server's.
        act: Called as `act(n, "before", first bytes)` before any of the n-th request is passed on,
            and as `act(n, "after", first bytes)` before any of its response is; one call at a time.
            It returns what happens to the message, None to pass it on.
    """

    def __init__(self, host: str, port: int, act: Act) -> None:
        self._upstream, self._act = (host, port), act
        self._turn, self._lock = 0, threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._link = threading.Event()
        self._link.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.mend()  # ends the threads that hold something

    def cut(self) -> None:
        """Cut the link, as an unplugged cable does: nothing passes, nothing is acknowledged."""
        self._link.clear()
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _FILTER)

    def mend(self) -> None:
        """Let the link work again; connections that were open are reset."""
        with suppress(OSError):
            self._listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
        if not self._link.is_set():
            self.reset()
        self._link.set()

    def await_link(self) -> None:
        """Wait while the link is cut."""
        self._link.wait()

    def refuse(self) -> None:
        """Refuse connections from now on, and reset those that are open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.reset()

    def reset(self) -> None:
        """Reset the open connections."""
        for one in list(self._open):
            reset_connection(one)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                reset_connection(client)
                continue
            self._open |= {client, server}
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(self, client, server)
            for run in (connection.requests, connection.responses):
                threading.Thread(target=run, daemon=True).start()

    def forget(self, *ended: socket.socket) -> None:
        """Note that sockets have ended."""
        self._open.difference_update(ended)

    def act(self, phase: str, turn: int, data: bytes) -> tuple[int, Fault | None]:
        """Act; `turn` 0 is a new request, which is counted. Return its number and its fault."""
        with self._lock:
            if not turn:
                self._turn += 1
                turn = self._turn
            return turn, self._act(turn, phase, data)


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._turn = 0  # 0: no request is pending
        self._asked = b""

    def requests(self) -> None:
        while data := _receive(self._client):
            fault = None
            if not self._turn:
                self._asked = data
                self._turn, fault = self._proxy.act("before", 0, data)
            if isinstance(fault, Response):
                self._turn = 0
                _send(self._client, fault.content)
                if fault.closes:
                    _end(self._client, socket.SHUT_WR)
                    _drain(self._client)  # unread input would turn the end into a reset
                    break
            elif isinstance(fault, Break):
                self._break(fault, data, self._client, self._server)
                break
            else:
                self._proxy.await_link()
                _send(self._server, fault.change(data) if fault else data)
        self._proxy.await_link()
        _end(self._server)
        self._proxy.forget(self._client, self._server)

    def responses(self) -> None:
        while data := _receive(self._server):
            fault = None
            if self._turn:
                _, fault = self._proxy.act("after", self._turn, self._asked)
                self._turn = 0
            if isinstance(fault, Response):
                _send(self._client, fault.content)
                if fault.closes:
                    break
            elif isinstance(fault, Break):
                self._break(fault, data, self._server, self._client)
                break
            else:
                self._proxy.await_link()
                _send(self._client, fault.change(data) if fault else data)
        self._proxy.await_link()
        _end(self._client)

    def _break(
        self, fault: Break, data: bytes, source: socket.socket, target: socket.socket
    ) -> None:
        if fault.body is not None:
            head, end, body = data.partition(_HEAD_END)
            _send(target, head + end)
            if not body and fault.how != "stall":
                body = _receive(source)
            _send(target, body[: fault.body])
        if fault.how == "stall":
            _drain(self._client)
        elif fault.how == "reset":
            reset_connection(self._client)
        _end(self._client)
        _end(self._server)


def _receive(one: socket.socket) -> bytes:
    try:
        return one.recv(_CHUNK)
    except OSError:
        return b""


def _drain(one: socket.socket) -> None:
    while _receive(one):
        pass


def _send(one: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        one.sendall(data)


def _end(one: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    with suppress(OSError):
        one.shutdown(how)


def reset_connection(one: socket.socket) -> None:
    """Close a socket so that the peer sees a reset (SO_LINGER, socket(7))."""
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RD)  # wakes a thread that receives, or the close would wait for it
        one.close()
