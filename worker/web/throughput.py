"""How many jobs ended in each minute of the last day, kept in memory.

Only the newest minutes are asked for again: counting all results of a large ledger takes seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from worker.ledger.page_ledger import PageLedger

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
# A job is recorded at most so long after its time, which is that of its statement's start.
_SETTLED = timedelta(minutes=2)
_RECOUNT = timedelta(hours=1)  # a job that was recorded again has a newer time, and counted twice


@dataclass(frozen=True)
class Period:
    """Jobs that ended in a period. Attributes: start, done, failed."""

    start: datetime
    done: int
    failed: int


class Throughput:
    """Counts of some pipelines."""

    def __init__(self, pipelines: Sequence[str]) -> None:
        self._pipelines = pipelines
        self._minutes: dict[str, dict[datetime, tuple[int, int]]] = {}
        self._earlier: dict[str, int] = {}
        self._settled = self._counted = datetime.min.replace(tzinfo=UTC)

    def update(self, ledger: PageLedger, now: datetime) -> None:
        """Ask for what has changed.

        Args:
            ledger: The stack's.
            now: The database's time.
        """
        begin = now.replace(second=0, microsecond=0) - _DAY
        if abs(now - self._counted) > _RECOUNT:  # clocks are also set back
            self._earlier = ledger.done_before(self._pipelines, begin)
            self._minutes = {name: {} for name in self._pipelines}
            self._settled = begin
            self._counted = now
        for row in ledger.throughput(self._pipelines, self._settled):
            self._minutes[row["pipeline"]][row["minute"]] = (row["done"], row["failed"])
        self._settled = (now - _SETTLED).replace(second=0, microsecond=0)
        for name, minutes in self._minutes.items():
            for minute in [one for one in minutes if one < begin]:
                done, _ = minutes.pop(minute)
                self._earlier[name] = self._earlier.get(name, 0) + done

    def done(self, pipeline: str) -> int:
        """Return how many jobs are done."""
        recent = sum(done for done, _ in self._minutes[pipeline].values())
        return self._earlier.get(pipeline, 0) + recent

    def periods(self, pipeline: str, now: datetime, length: timedelta, count: int) -> list[Period]:
        """Return the last periods, oldest first; the last one has not ended.

        Args:
            pipeline: The pipeline.
            now: The end of the last period lies after it.
            length: Of a period, in whole minutes.
            count: How many.
        """
        end = now.replace(second=0, microsecond=0) + _MINUTE
        start = end - count * length
        sums = [[0, 0] for _ in range(count)]
        for minute, counts in self._minutes[pipeline].items():
            if start <= minute < end:
                sums[(minute - start) // length][0] += counts[0]
                sums[(minute - start) // length][1] += counts[1]
        return [Period(start + i * length, *one) for i, one in enumerate(sums)]
