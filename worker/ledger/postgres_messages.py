"""The ledger of messages in PostgreSQL."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from worker.ledger.connection import Connection, connect_worker
from worker.ledger.messages import INGEST, CameraMinute, KnownMessage, Message, NumberRanges
from worker.ledger.postgres_ledger import statement, translated_errors
from worker.ledger.values import storable_json
from worker.load import Load
from worker.settings import Settings


@contextmanager
def open_messages(settings: Settings) -> Iterator["PostgresMessages"]:
    """Open the ledger of messages as the worker's role, until the context ends."""
    with connect_worker(settings) as connection:
        yield PostgresMessages(connection, settings.stack, settings.machine)


class PostgresMessages:
    """Implements `MessageLedger`; for one thread."""

    def __init__(self, connection: Connection, stack: str, machine: str) -> None:
        self._connection = connection
        self._names = {"stack": stack, "machine": machine, "pipeline": INGEST}

    def note(self, arrived: Sequence[Message], stored: Collection[str]) -> dict[str, KnownMessage]:
        """See `MessageLedger.note`."""
        rows = storable_json([vars(one) for one in arrived])
        found = self._run("note_messages", arrived=rows, stored=list(stored))
        return {
            row["id"]: KnownMessage(row["pipeline"], row["sha256"], row["is_stored"])
            for row in found
        }

    def unmarked(self) -> list[Message]:
        """See `MessageLedger.unmarked`."""
        return [Message(**row) for row in self._run("unmarked_messages")]

    def count(self, minutes: Collection[CameraMinute]) -> None:
        """See `MessageLedger.count`."""
        # ON CONFLICT cannot update a row twice in one statement: the last one of a minute wins.
        latest = {(one.camera, one.boot, one.minute, one.first_number): one for one in minutes}
        rows = [vars(one) | {"minute": one.minute.isoformat()} for one in latest.values()]
        self._run("count_minutes", minutes=storable_json(rows))

    def recount(self, ranges: NumberRanges | None) -> None:
        """See `MessageLedger.recount`."""
        rows = [
            {"camera": camera, "boot": boot, "low": low, "high": high}
            for (camera, boot), (low, high) in (ranges or {}).items()
        ]
        self._run("recount_minutes", ranges=None if ranges is None else storable_json(rows))

    def purge(self) -> None:
        """See `MessageLedger.purge`."""
        self._run("purge_messages")

    def heartbeat(self, problem: str | None) -> None:
        """See `MessageLedger.heartbeat`."""
        self._run("heartbeat", obstacle=problem, live=False, released="[]", **vars(Load()))

    def _run(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        with translated_errors(name):
            cursor = self._connection.execute(
                statement(name), self._names | parameters, prepare=True
            )
            return cursor.fetchall() if cursor.description else []
