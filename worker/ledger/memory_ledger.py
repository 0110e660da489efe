"""The ledger in memory, for tests of the layers above it.

tests/worker/test_ledger_contract.py runs the same checks on it and on PostgreSQL.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.ledger.ledger import DONE, QUARANTINED, LogFilter, Result
from worker.uploads.upload import Upload

_RATE_MINUTES = 10
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryLedger:
    """Implements `Ledger`.

    Args:
        machine: The name that results and heartbeats carry.
        clock: Returns the time of a row.
    """

    def __init__(self, machine: str, *, clock: Callable[[], datetime] = _now) -> None:
        self._machine, self._clock = machine, clock
        self._attempts: dict[Upload, int] = {}
        self._results: dict[Upload, tuple[datetime, Result]] = {}
        self._heartbeats: dict[str, tuple[datetime, str | None]] = {}
        self._last_error: tuple[datetime, str] | None = None
        self._lock = threading.RLock()

    @property
    def results(self) -> list[Result]:
        """All results, in the order of their first recording."""
        with self._lock:
            return [result for _, result in self._results.values()]

    def unfinished_attempts(self, bucket: str) -> dict[Upload, int]:
        """See `Ledger.unfinished_attempts`."""
        with self._lock:
            return {one: n for one, n in self._attempts.items() if one.bucket == bucket}

    def start_attempts(self, uploads: Sequence[Upload], *, alone: bool) -> None:
        """See `Ledger.start_attempts`."""
        with self._lock:
            for upload in uploads:
                self._attempts[upload] = self._attempts.get(upload, 0) + alone

    def clear_attempts(self, uploads: Sequence[Upload]) -> None:
        """See `Ledger.clear_attempts`."""
        with self._lock:
            for upload in uploads:
                self._attempts.pop(upload, None)

    def uncount_crash(self, upload: Upload) -> None:
        """See `Ledger.uncount_crash`."""
        with self._lock:
            if upload in self._attempts:
                self._attempts[upload] = max(self._attempts[upload] - 1, 0)

    def record(self, results: Sequence[Result]) -> None:
        """See `Ledger.record`."""
        with self._lock:
            for result in results:
                self._results[result.upload] = (self._clock(), result)
                self._attempts.pop(result.upload, None)

    def heartbeat(self, problem: str | None) -> None:
        """See `Ledger.heartbeat`."""
        with self._lock:
            now = self._clock()
            self._heartbeats[self._machine] = (now, problem)
            if problem is not None:
                self._last_error = (now, problem)

    def log(self, log_filter: LogFilter) -> Iterator[dict[str, Any]]:
        """See `Ledger.log`."""
        with self._lock:
            rows = sorted(self._results.values(), key=lambda row: row[0])
        chosen = [
            (moment, result)
            for moment, result in rows
            if log_filter.since is None or moment >= log_filter.since
            if not log_filter.quarantined or result.outcome == QUARANTINED
            if log_filter.like is None
            or log_filter.like in result.upload.key
            or log_filter.like in (result.output_key or "")
        ]
        for moment, result in chosen[-log_filter.last :]:
            yield {
                "timestamp": moment.astimezone(UTC).strftime(_TIME),
                "input_key": result.upload.key,
                "output_key": result.output_key,
                "input_sha256": result.input_sha256,
                "output_sha256": result.output_sha256,
                "seconds": result.seconds,
                "outcome": result.outcome,
                "reason": result.reason,
                "worker": self._machine,
            }

    def machines(self) -> list[dict[str, Any]]:
        """See `Ledger.machines`."""
        with self._lock:
            return [
                {"machine": name, "last_pass": moment.strftime(_TIME), "obstacle": problem}
                for name, (moment, problem) in sorted(self._heartbeats.items())
            ]

    def totals(self) -> dict[str, Any]:
        """See `Ledger.totals`."""
        with self._lock:
            rows, errors = list(self._results.values()), [self._last_error]
        errors += [
            (moment, f"{result.upload.key}: {result.reason}")
            for moment, result in rows
            if result.outcome == QUARANTINED
        ]
        last = max((one for one in errors if one), key=lambda one: one[0], default=None)
        recent = self._clock() - timedelta(minutes=_RATE_MINUTES)
        return {
            "done": sum(result.outcome == DONE for _, result in rows),
            "quarantined": sum(result.outcome == QUARANTINED for _, result in rows),
            "rate": sum(moment > recent for moment, _ in rows) / _RATE_MINUTES,
            "last_error": last and last[1],
        }
