"""The server of the page and the upload API."""

import uvicorn

from worker import logs
from worker.settings import Settings
from worker.web.app import make_app

_HOST = "127.0.0.1"  # reached through ssh, or from Caddy


def serve(settings: Settings, port: int) -> None:
    """Serve until a signal ends the process.

    Args:
        settings: The stack's.
        port: Of the loopback interface.
    """
    logs.configure(service="web")
    uvicorn.run(make_app(settings), host=_HOST, port=port, log_config=None, access_log=False)
