"""The assignments in memory, for tests of the layers above it.

tests/worker/test_assignments.py runs the same checks on it and on PostgreSQL.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from worker.dispatch.assignments import (
    LISTER_SECONDS,
    RECORDED_SECONDS,
    Depth,
    Pauses,
    without_paused,
)
from worker.dispatch.bundle import Bundle
from worker.dispatch.memory_queue import QueueTables, TaskRow
from worker.ledger.ledger import Attempt
from worker.ledger.memory_tables import MemoryTables
from worker.uploads.job import job_id
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload, key_hash


class MemoryAssignments:
    """Implements `Assignments`.

    Args:
        machine: This machine's name.
        pipeline: The pipeline's name.
        tables: The stack's ledger.
        queue: The tables of all machines.
    """

    def __init__(
        self, machine: str, pipeline: str, tables: MemoryTables, queue: QueueTables
    ) -> None:
        self._machine, self._pipeline = machine, pipeline
        self._tables, self._queue = tables, queue

    def lead(self) -> bool:
        """See `Assignments.lead`."""
        now = datetime.now(UTC)
        with self._queue.changed:
            machine, until = self._queue.listers.get(self._pipeline, ("", now))
            if machine != self._machine and until > now:
                return False
            until = now + timedelta(seconds=LISTER_SECONDS)
            self._queue.listers[self._pipeline] = (self._machine, until)
            return True

    def resign(self) -> None:
        """See `Assignments.resign`."""
        with self._queue.changed:
            if self._is_lister():
                del self._queue.listers[self._pipeline]

    def _is_lister(self) -> bool:
        now = datetime.now(UTC)
        machine, until = self._queue.listers.get(self._pipeline, ("", now))
        return machine == self._machine and until > now

    def due(
        self, works: Sequence[KeyUploads], pauses: Pauses
    ) -> list[tuple[KeyUploads, dict[Upload, Attempt]]]:
        """See `Assignments.due`."""
        due = []
        with self._queue.changed, self._tables.lock:
            for work in works:
                if self._is_taken(work):
                    continue
                known = self._attempts(work)
                if left := without_paused(work, known, pauses):
                    due.append((left, known))
        return due

    def _is_taken(self, work: KeyUploads) -> bool:
        """Return whether a key is assigned or leased, or was recorded lately."""
        now = datetime.now(UTC)
        task = self._queue.keys.get((self._pipeline, key_hash(work.key)))
        row = self._queue.tasks.get(task) if task else None
        if row and (row.machine is None or row.machine.is_alive):
            return True
        _, _, until = self._tables.leases.get((self._pipeline, work.key), (None, "", now))
        if until > now:
            return True
        recent = now - timedelta(seconds=RECORDED_SECONDS)
        recorded = (
            self._tables.results.get((self._pipeline, job_id(self._pipeline, upload)))
            for upload in work.versions
        )
        return any(row and row[0] > recent for row in recorded)

    def _attempts(self, work: KeyUploads) -> dict[Upload, Attempt]:
        now, found = datetime.now(UTC), {}
        for upload in work.versions:
            if row := self._tables.attempts.get((self._pipeline, upload)):
                seconds = (now - (row.failed_at or now)).total_seconds()
                found[upload] = replace(row.shown, seconds=seconds)
        return found

    def assign(self, bundles: Sequence[Bundle]) -> bool:
        """See `Assignments.assign`."""
        with self._queue.changed:
            if not self._is_lister():
                return False
            for bundle in bundles:
                row = TaskRow(self._pipeline, bundle.dumps(), bundle.is_slow)
                number = self._queue.add(row)
                for work in bundle.works:
                    self._queue.keys[self._pipeline, key_hash(work.key)] = number
            return True

    def depth(self) -> Depth:
        """See `Assignments.depth`."""
        with self._queue.changed:
            for number, row in self._own_tasks():
                if row.machine and not row.machine.is_alive:
                    self._queue.delete(number)
            tasks = dict(self._own_tasks())
            queued = sum(row.machine is None for row in tasks.values())
            return Depth(
                queued,
                len(tasks) - queued,
                sum(row.is_slow for row in tasks.values()),
            )

    def _own_tasks(self) -> list[tuple[int, TaskRow]]:
        tasks = self._queue.tasks.items()
        return [(number, row) for number, row in tasks if row.pipeline == self._pipeline]
