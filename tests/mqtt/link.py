"""A TCP connection to a server, which tests cut."""

import socket
import threading
from contextlib import suppress
from typing import Self

from bench.proxy import reset_connection

_CHUNK = 1 << 16


class Link:
    """A proxy on a port of its own. While it is cut, connections are reset."""

    def __init__(self, port: int) -> None:
        self._upstream, self._lock = ("127.0.0.1", port), threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._is_cut = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()

    def cut(self) -> None:
        """Reset all connections, and those that come."""
        with self._lock:
            self._is_cut = True
            for one in self._open:
                reset_connection(one)
            self._open.clear()

    def mend(self) -> None:
        with self._lock:
            self._is_cut = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                reset_connection(client)
                continue
            with self._lock:
                if self._is_cut:
                    reset_connection(client)
                    reset_connection(server)
                    continue
                self._open |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=[source, target], daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
