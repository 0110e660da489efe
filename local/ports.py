"""Ports of this computer's loopback."""

import socket


def free_port() -> int:
    """Return a TCP port on which nothing listens; another process may take it first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
