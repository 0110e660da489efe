"""Connections to the page that browsers and Caddy keep."""

import ctypes
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.worker.pipeline import Pipeline
from tests.worker.web_server import WebServer

_LIBC = ctypes.CDLL(None, use_errno=True)
_PIDFD_GETFD = 438  # asm-generic/unistd.h; Python has no function for it


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and pidfds")
def test_responses_do_not_wait_for_acknowledgements(versioned: Pipeline) -> None:
    with (
        WebServer(versioned) as web,
        socket.create_connection(("127.0.0.1", web.port)) as browser,
    ):
        browser.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert browser.recv(1)
        with _other_end(browser, web.process.pid) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def _other_end(connection: socket.socket, pid: int) -> socket.socket:
    """Return a copy of a process's end of a connection (pidfd_getfd(2))."""
    process = os.pidfd_open(pid)
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            if not str(path.readlink()).startswith("socket:"):
                continue
            copy = _LIBC.syscall(_PIDFD_GETFD, process, int(path.name), 0)
            assert copy >= 0, os.strerror(ctypes.get_errno())
            end = socket.socket(fileno=copy)
            if _peer(end) == connection.getsockname():
                return end
            end.close()
    finally:
        os.close(process)
    raise AssertionError("the process has no such connection")


def _peer(end: socket.socket) -> object:
    try:
        return end.getpeername()
    except OSError:  # it listens
        return None
