"""Notifications to systemd: readiness, status, watchdog (sd_notify(3))."""

import os
import socket


def notify(*assignments: str) -> None:
    """Send assignments such as `READY=1` or `STATUS=…`; nothing where systemd does not listen.

    Args:
        assignments: One line each.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        try:
            client.connect(address)
            client.sendall("\n".join(assignments).encode())
        except OSError:  # nobody reads it: the pictures matter more
            return
