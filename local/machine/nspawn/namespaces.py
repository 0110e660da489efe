"""Linux calls that Python 3.11 has no function for: unshare(2), mount(2), prctl(2), TAP devices.

Where the kernel refuses one, it raises OSError.
"""

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
_NEW_DEVICE, _SET_MAC = 0x400454CA, 0x8924  # tun(4), netdevice(7)
_TAP, _NO_HEADER, _ETHERNET = 0x0002, 0x1000, 1
_libc = ctypes.CDLL(None, use_errno=True)


def separate_processes() -> None:
    """Make the next child process 1 of a new namespace; the kernel kills the namespace with it."""
    _check(_libc.unshare(_NEW_PROCESSES), "a process namespace")


def separate_mounts() -> None:
    """Hide later mounts from all but this process and its children."""
    _check(_libc.unshare(_NEW_MOUNTS), "a mount namespace")
    _check(_libc.mount(b"none", b"/", None, _RECURSIVE | _SLAVE, None), "mounts of our own")


def separate_network() -> None:
    """Leave the host's network for an empty one whose loopback is up."""
    _check(_libc.unshare(_NEW_NETWORK), "a network namespace")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sH14x", b"lo", 0))
        (flags,) = struct.unpack_from("H", answer, 16)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))


def open_tap(name: str, mac: str) -> int:
    """Make an Ethernet device in this process's network, which lasts as long as it is open.

    Args:
        name: its name.
        mac: its MAC, as `fa:16:3e:…`.

    Returns:
        A file descriptor: each read and write is a frame.
    """
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(device, _NEW_DEVICE, struct.pack("16sH22x", name.encode(), _TAP | _NO_HEADER))
    address = bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH6s16x", name.encode(), _ETHERNET, address)
        fcntl.ioctl(any_socket, _SET_MAC, request)
    return device


def mount(kind: str, target: Path, source: str = "none", options: str = "") -> None:
    """Mount a file system.

    Args:
        kind: its type, such as `overlay`.
        target: the mount point.
        source: its device, or what the type takes for one.
        options: what mount(8) takes after `-o` and the type itself reads.
    """
    result = _libc.mount(source.encode(), os.fsencode(target), kind.encode(), 0, options.encode())
    _check(result, f"{kind} on {target}")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent's thread ends (PR_SET_PDEATHSIG)."""
    _libc.prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGKILL))


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
