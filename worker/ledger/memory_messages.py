"""The ledger of messages in memory, for tests of the service that stores them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from worker.ledger.ledger import Result
from worker.ledger.memory_tables import MemoryTables, MessageRow
from worker.ledger.messages import INGEST, CameraMinute, KnownMessage, Message, NumberRanges

_KEPT, _KEPT_WITHOUT_JOB = timedelta(days=7), timedelta(days=90)


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryMessages:
    """Implements `MessageLedger`.

    Args:
        tables: Of the stack.
        machine: The machine's name.
        clock: Returns the time of a row.
    """

    def __init__(
        self, tables: MemoryTables, machine: str, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self._tables, self._machine, self._clock = tables, machine, clock

    def note(self, arrived: Sequence[Message], stored: Collection[str]) -> dict[str, KnownMessage]:
        """See `MessageLedger.note`."""
        messages = self._tables.messages
        with self._tables.lock:
            known = {one.id: found for one in arrived if (found := self._known(one.id))}
            for name, one in known.items():
                if one.is_stored and name in messages:
                    messages[name] = replace(messages[name], is_stored=True)
            for name in stored:
                if name in messages:
                    messages[name] = replace(messages[name], is_stored=True)
            for message in arrived:
                if message.id not in known:
                    messages[message.id] = MessageRow(message, self._clock())
            return known

    def _known(self, name: str) -> KnownMessage | None:
        row = self._tables.messages.get(name)
        job = self._job(name)
        if row:
            is_stored = row.is_stored or job is not None
            return KnownMessage(row.message.pipeline, row.message.sha256, is_stored)
        return job and KnownMessage(job[0], job[1].input_sha256, is_stored=True)

    def _job(self, name: str) -> tuple[str, Result] | None:
        """Return the job that a message became, with its pipeline."""
        for (pipeline, _), (_, _, result) in self._tables.results.items():
            if result.job.parent and (result.job.parent.job_id, result.job.parent.number) == (
                name,
                1,
            ):
                return pipeline, result
        return None

    def unmarked(self) -> list[Message]:
        """See `MessageLedger.unmarked`."""
        with self._tables.lock:
            rows = [one for one in self._tables.messages.values() if not one.is_stored]
            self.note([], [one.message.id for one in rows if self._job(one.message.id)])
            return [one.message for one in rows if not self._job(one.message.id)]

    def count(self, minutes: Collection[CameraMinute]) -> None:
        """See `MessageLedger.count`."""
        with self._tables.lock:
            for one in minutes:
                place = (one.camera, one.boot, one.minute, one.first_number)
                before, received = self._tables.camera_minutes.get(place, (one, 0))
                offset = max(one.clock_offset, before.clock_offset)
                received = max(received, self._received(one))
                row = (replace(one, clock_offset=offset), received)
                self._tables.camera_minutes[place] = row

    def _received(self, minute: CameraMinute) -> int:
        return sum(
            row.is_stored
            and (row.message.camera, row.message.boot) == (minute.camera, minute.boot)
            and minute.first_number <= row.message.number <= minute.last_number
            for row in self._tables.messages.values()
        )

    def recount(self, ranges: NumberRanges | None) -> None:
        """See `MessageLedger.recount`."""
        with self._tables.lock:
            for place, (minute, received) in self._tables.camera_minutes.items():
                if ranges is not None:
                    low, high = ranges.get((minute.camera, minute.boot), (0, -1))
                    if low > minute.last_number or high < minute.first_number:
                        continue
                row = (minute, max(received, self._received(minute)))
                self._tables.camera_minutes[place] = row

    def purge(self) -> None:
        """See `MessageLedger.purge`."""
        with self._tables.lock:
            now, messages = self._clock(), self._tables.messages
            for name, row in list(messages.items()):
                kept = _KEPT if self._job(name) else _KEPT_WITHOUT_JOB
                if now - row.created_at > kept:
                    del messages[name]

    def heartbeat(self, problem: str | None) -> None:
        """See `MessageLedger.heartbeat`."""
        with self._tables.lock:
            self._tables.heartbeats[INGEST, self._machine] = (self._clock(), problem)
