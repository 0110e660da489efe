"""Ports for servers that a test starts later, or not at all."""

import socket

_held: list[socket.socket] = []


def reserved_port() -> int:
    """Return a port of the loopback on which nothing listens, until a server asks for it by number.

    A socket holds it until this process ends: the kernel gives it to nobody who asks for any port,
    but to a server that names it (Linux, both with SO_REUSEADDR, as servers have).
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    return int(holder.getsockname()[1])
