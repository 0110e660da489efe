"""A few sessions with the ledger's database, shared by the requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import POLLIN, poll

import psycopg

from worker.ledger.connection import Connection, connect_worker
from worker.settings import Settings


class Connections:
    """Lends sessions of the worker's role; it may be called from several threads.

    Args:
        settings: The stack's.
        most: The largest number of sessions: a small database has few for all its clients.
    """

    def __init__(self, settings: Settings, most: int = 4) -> None:
        self._settings = settings
        self._free = threading.BoundedSemaphore(most)
        self._idle: list[Connection] = []

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a session until the context ends; wait while all are lent.

        Yields:
            A session in autocommit mode.

        Raises:
            ServiceUnavailable: The database cannot be reached.
        """  # noqa: DOC502  raised by connect_worker
        with self._free:
            connection = self._take()
            try:
                yield connection
            finally:
                is_idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
                if is_idle and not connection.closed:
                    self._idle.append(connection)
                else:
                    connection.close()

    def close(self) -> None:
        """Close the sessions that are not lent."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection:
        """Return an idle session that the server has not ended, or open one."""
        with suppress(IndexError):
            while connection := self._idle.pop():
                if _is_open(connection):
                    return connection
                connection.close()
        return connect_worker(self._settings)


def _is_open(connection: Connection) -> bool:
    """Return whether nothing came from the server: an idle session only gets notice of its end."""
    poller = poll()
    try:
        poller.register(connection.fileno(), POLLIN)
    except psycopg.Error:
        return False
    return not poller.poll(0)
