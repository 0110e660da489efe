"""A guest's Ethernet link to the other machines of its cloud: each frame is a datagram.

Each machine has a socket in its folder, beside the other machines' folders. What its guest sends
goes to all of them; each takes what is for its own guest. So no machine needs another to run, and
nothing of the network is left when its folder is removed.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from local.machine.firewall import Firewall, Interface

_SOCKET = "link.socket"
FRAME = 1 << 16  # bytes that the longest frame fits in
_SEND_SECONDS = 1.0  # a frozen machine's queue stays full


def start(
    interface: Interface, read: Callable[[], bytes], write: Callable[[bytes], object]
) -> None:
    """Carry frames in two threads, which end with the process.

    The machine's folder must be the current one, as sockets have short names.

    Args:
        interface: the guest's interface.
        read: returns the guest's next frame.
        write: hands a frame to the guest; OSError loses it.
    """
    firewall, receiver = Firewall(interface), bind(_SOCKET)
    for work in (
        lambda: _send(firewall, read),
        lambda: _receive(receiver, firewall, write),
    ):
        Thread(target=work, daemon=True).start()


def bind(name: str) -> socket.socket:
    """Return a socket for datagrams in the current folder, in place of one of an earlier boot."""
    Path(name).unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(name)
    return bound


def _send(firewall: Firewall, read: Callable[[], bytes]) -> None:
    own = Path.cwd().name
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.settimeout(_SEND_SECONDS)
    while frame := read():
        if not firewall.allows_egress(frame):
            continue
        for entry in os.scandir(".."):
            if entry.name != own:
                with suppress(OSError):  # it is no machine, is down, or does not read
                    sender.sendto(frame, f"../{entry.name}/{_SOCKET}")


def _receive(receiver: socket.socket, firewall: Firewall, write: Callable[[bytes], object]) -> None:
    while frame := receiver.recv(FRAME):
        if firewall.allows_ingress(frame):
            with suppress(OSError):  # the guest has not configured its interface yet
                write(frame)
