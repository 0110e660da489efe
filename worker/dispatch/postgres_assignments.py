"""The assignments in PostgreSQL. Their statements are in `worker/ledger/sql/`, one file each."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.types import JSONValue

from worker.dispatch.assignments import (
    LISTER_SECONDS,
    RECORDED_SECONDS,
    STALLED_SECONDS,
    Depth,
    Pauses,
    without_paused,
)
from worker.dispatch.bundle import Bundle
from worker.dispatch.queue_name import TASK, queue_name
from worker.errors import ServiceUnavailable
from worker.ledger.connection import Connection, connect_worker, reason_of
from worker.ledger.ledger import Attempt
from worker.ledger.postgres_ledger import statement, translated_errors
from worker.ledger.values import key_sha256, storable_json
from worker.settings import Settings
from worker.uploads.job import job_id
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload


@contextmanager
def open_assignments(settings: Settings, pipeline: str) -> Iterator["PostgresAssignments"]:
    """Open the assignments of a pipeline as the worker's role, until the context ends."""
    with connect_worker(settings) as connection:
        # A machine that is frozen within a transaction must not stop the others.
        connection.execute("SET idle_in_transaction_session_timeout = '5s'")
        yield PostgresAssignments(connection, settings.stack, pipeline, settings.machine)


class PostgresAssignments:
    """Implements `Assignments`.

    Args:
        connection: A session that nobody else uses: `assign` is a transaction.
        stack: The stack's name.
        pipeline: The pipeline's name.
        machine: This machine's name.
    """

    def __init__(self, connection: Connection, stack: str, pipeline: str, machine: str) -> None:
        self._connection, self._pipeline = connection, pipeline
        queue = queue_name(stack, pipeline)
        self._names = {"stack": stack, "pipeline": pipeline, "machine": machine, "queue": queue}
        self._seconds = {
            "lister_seconds": LISTER_SECONDS,
            "stalled_seconds": STALLED_SECONDS,
            "recorded_seconds": RECORDED_SECONDS,
        }
        app = App(connector=SyncPsycopgConnector())  # never opened
        self._tasks = app.configure_task(TASK, queue=queue, connection=connection)
        self._lock = threading.Lock()

    def lead(self) -> bool:
        """See `Assignments.lead`."""
        with self._lock:
            return bool(self._run("lead"))

    def resign(self) -> None:
        """See `Assignments.resign`."""
        with self._lock:
            self._run("resign")

    def due(
        self, works: Sequence[KeyUploads], pauses: Pauses
    ) -> list[tuple[KeyUploads, dict[Upload, Attempt]]]:
        """See `Assignments.due`."""
        uploads = [{job_id(self._pipeline, one): one for one in work.versions} for work in works]
        rows = [
            {"number": number, "key_sha256": key_sha256(work.key), "ids": list(uploads[number])}
            for number, work in enumerate(works)
        ]
        with self._lock:
            found = self._run("due_keys", works=storable_json(rows))
        attempts: dict[int, dict[Upload, Attempt]] = {}
        for row in found:
            number, identifier = row.pop("number"), row.pop("job_id")
            known = attempts.setdefault(number, {})
            if identifier:
                known[uploads[number][identifier]] = Attempt(**row)
        due = []
        for number, known in sorted(attempts.items()):
            if work := without_paused(works[number], known, pauses):
                due.append((work, known))
        return due

    def assign(self, bundles: Sequence[Bundle]) -> bool:
        """See `Assignments.assign`."""
        texts: list[dict[str, JSONValue]] = [{"bundle": one.dumps()} for one in bundles]
        with self._lock, translated_errors("assign"), self._connection.transaction():
            if not self._run("stay_lister"):
                return False
            if texts:
                try:
                    ids = self._tasks.batch_defer(*texts)
                except ConnectorException as error:
                    raise _unavailable(error) from error
                rows = [
                    {"key_sha256": key_sha256(work.key), "task_id": task, "slow": bundle.is_slow}
                    for task, bundle in zip(ids, bundles, strict=True)
                    for work in bundle.works
                ]
                self._run("assign_keys", keys=storable_json(rows))
            return True

    def depth(self) -> Depth:
        """See `Assignments.depth`."""
        with self._lock:
            return Depth(**self._run("queue_depth")[0])

    def _run(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        values = self._names | self._seconds | parameters
        with translated_errors(name):
            cursor = self._connection.execute(statement(name), values, prepare=True)
            return cursor.fetchall() if cursor.description else []


def _unavailable(error: ConnectorException) -> ServiceUnavailable:
    cause = error.__cause__
    reason = reason_of(cause) if isinstance(cause, psycopg.Error) else str(error)
    return ServiceUnavailable(f"The database failed at 'defer': {reason}.")
