"""The server of the page and the upload API."""

import os
import socket

import uvicorn

from worker import logs
from worker.errors import ServiceUnavailable
from worker.settings import Settings
from worker.web.app import make_app

_HOST = "127.0.0.1"  # reached through ssh, or from Caddy
_STOP_SECONDS = 10  # for requests that have begun


def serve(settings: Settings, port: int) -> None:
    """Serve until a signal ends the process.

    Args:
        settings: The stack's.
        port: Of the loopback interface.

    Raises:
        ServiceUnavailable: The port cannot be used.
    """
    logs.configure(service="web")
    try:
        listener = socket.create_server((_HOST, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ServiceUnavailable(
            f"The port {port} of {_HOST} cannot be used ({reason}): give another with --port."
        ) from error
    config = uvicorn.Config(
        make_app(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    with listener:
        # Accepted sockets inherit it. Otherwise the body of each response on a kept connection
        # waits for a delayed ACK of its head: asyncio (Python 3.11 to 3.13, _set_nodelay) sets it
        # only on sockets with the protocol IPPROTO_TCP, and create_server leaves that 0.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        uvicorn.Server(config).run([listener])
