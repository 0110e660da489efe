"""The service `ingest`: subscribes to the broker, stores each message, confirms it."""

from worker import logs
from worker.settings import Settings


def ingest(settings: Settings, port: int) -> None:
    """Store messages until a signal ends the process.

    Args:
        settings: The stack's.
        port: Of the broker, on the loopback interface.
    """
    logs.configure(service="ingest")
    del settings, port
