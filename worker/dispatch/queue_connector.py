"""procrastinate's access to PostgreSQL, which reports each failure.

procrastinate 3.10 survives failures without being able to work: a worker whose heartbeat, listener
or last statement of a task has failed goes on, logs an error at most, and never tries again what
failed. So whatever fails is reported here.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from worker.ledger.connection import reason_of

_POOL_SECONDS = 10  # to get a connection


class QueueConnector(PsycopgConnector):
    """Has two sessions: one for statements, and one that listens.

    Args:
        parameters: psycopg's.
        report: Called with a sentence when something has failed.
    """

    def __init__(self, parameters: dict[str, Any], report: Callable[[str], None]) -> None:
        super().__init__()
        self._parameters, self._report = parameters, report
        self.is_listening = asyncio.Event()

    def make_pool(self) -> AsyncConnectionPool:
        """Return a pool for `open_async`, not open yet.

        It does not test the connection before each statement, as procrastinate's own does.
        """
        return AsyncConnectionPool(
            kwargs=self._parameters,
            configure=_set_autocommit,
            min_size=1,
            max_size=1,
            timeout=_POOL_SECONDS,
            open=False,
        )

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """See `BaseConnector.execute_query_async`."""
        with self._reporting():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(
        self, query: LiteralString, **arguments: Any
    ) -> dict[str, Any]:
        """See `BaseConnector.execute_query_one_async`."""
        with self._reporting():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row

    async def execute_query_all_async(
        self, query: LiteralString, **arguments: Any
    ) -> list[dict[str, Any]]:
        """See `BaseConnector.execute_query_all_async`."""
        with self._reporting():
            rows: list[dict[str, Any]] = await super().execute_query_all_async(query, **arguments)
            return rows

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """See `BaseConnector.listen_notify`; it does not connect again on its own."""
        with self._reporting():
            connection = await AsyncConnection.connect(**self._parameters, autocommit=True)
            async with connection:
                names = list(channels)
                for name in names:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
                self.is_listening.set()
                # Tasks may have been added before: look for them.
                payload = json.dumps({"type": "job_inserted", "job_id": 0})
                await on_notification(channel=names[0], payload=payload)
                async for notify in connection.notifies():
                    await on_notification(channel=notify.channel, payload=notify.payload)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (ConnectorException, psycopg.Error) as error:
            cause = error if isinstance(error, psycopg.Error) else error.__cause__
            # procrastinate's own refusal: a task that was void has been deleted meanwhile.
            if not isinstance(cause, psycopg.errors.RaiseException):
                reason = reason_of(cause) if isinstance(cause, psycopg.Error) else str(error)
                self._report(f"The database failed in the queue: {reason.rstrip('.')}.")
            raise


async def _set_autocommit(connection: AsyncConnection[Any]) -> None:
    await connection.set_autocommit(True)
