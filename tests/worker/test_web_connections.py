"""Connections to the page that browsers and Caddy keep."""

import ctypes
import errno
import os
import socket
import sys
from contextlib import suppress
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
    """Return a copy of a process's end of a connection."""
    process = os.pidfd_open(pid)
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # the process has closed it, or it is not connected
                if not str(path.readlink()).startswith("socket:"):
                    continue
                with _copy(process, int(path.name)) as end:
                    if end.getpeername() == connection.getsockname():
                        return end.dup()
    finally:
        os.close(process)
    raise AssertionError("the process has no such connection")


def _copy(process: int, descriptor: int) -> socket.socket:
    """Return a copy of a process's socket (pidfd_getfd(2))."""
    copy = _LIBC.syscall(_PIDFD_GETFD, process, descriptor, 0)
    if copy < 0:
        error = ctypes.get_errno()
        if error == errno.EPERM:  # in a container
            pytest.skip("other processes' sockets cannot be copied here")
        raise OSError(error, os.strerror(error))
    return socket.socket(fileno=copy)
