"""Calls to Linux that Python 3.11 has no function for: unshare(2), mount(2), prctl(2)."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path

_NEW_MOUNTS, _NEW_NETWORK, _NEW_PROCESSES = 0x00020000, 0x40000000, 0x20000000
_RECURSIVE, _SLAVE = 0x4000, 0x80000
_PARENT_DEATH_SIGNAL = 1
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # netdevice(7)
_libc = ctypes.CDLL(None, use_errno=True)


def separate_processes() -> None:
    """The next child is the first process of a namespace: when it ends, the kernel kills all."""
    _check(_libc.unshare(_NEW_PROCESSES), "a process namespace")


def separate_mounts() -> None:
    """Whatever is mounted from now on is seen by this process and its children alone."""
    _check(_libc.unshare(_NEW_MOUNTS), "a mount namespace")
    _check(_libc.mount(b"none", b"/", None, _RECURSIVE | _SLAVE, None), "mounts of our own")


def separate_network() -> None:
    """Leave the host's network for an empty one, with its loopback up."""
    _check(_libc.unshare(_NEW_NETWORK), "a network namespace")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sH14x", b"lo", 0))
        (flags,) = struct.unpack_from("H", answer, 16)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))


def mount(kind: str, target: Path, source: str = "none", options: str = "") -> None:
    """Mount a file system; raises OSError."""
    made = _libc.mount(source.encode(), os.fsencode(target), kind.encode(), 0, options.encode())
    _check(made, f"{kind} on {target}")


def die_with_parent() -> None:
    """Be killed when the thread that made this process ends, however it ends."""
    _libc.prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGKILL))


def _check(answer: int, what: str) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
