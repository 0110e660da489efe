"""The ledger of a stack as the page shows it: newest first, a page at a time."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from worker.ledger.ledger import DONE, DROPPED, QUARANTINED
from worker.ledger.stack_ledger import DEFAULT_ROWS, StackLedger

_SEARCHED = 8000  # rows that are looked at for a page of a search
_SKIPPED = 500  # retried jobs that a page may leave out


class Place(NamedTuple):
    """Where a job is in the order of recorded jobs. Attributes: recorded (when), number."""

    recorded: datetime
    number: int


@dataclass(frozen=True)
class PageFilter:
    """Which recorded jobs a page lists, newest first.

    Attributes:
        pipelines: Only jobs of these pipelines.
        states: Only jobs in these states.
        like: Only jobs whose key, or the key of whose first result, contains this text.
        is_last: Only jobs that no retry repeated, if they are quarantined.
        before: Only jobs before this place, None for the newest.
        most: The largest number of jobs.
    """

    pipelines: Sequence[str]
    states: Sequence[str] = (DONE, QUARANTINED, DROPPED)
    like: str | None = None
    is_last: bool = False
    before: Place | None = None
    most: int = DEFAULT_ROWS

    def starting(self, before: Place | None) -> "PageFilter":
        """Return the filter of another page."""
        return replace(self, before=before)


@dataclass(frozen=True)
class JobPage:
    """A page of recorded jobs.

    Attributes:
        jobs: Rows (sql/job_page.sql).
        older: What the next page is before; None if there is none. A page of a search may have few
            rows or none, and yet be followed by others.
    """

    jobs: Sequence[dict[str, Any]]
    older: Place | None


class PageLedger(StackLedger):
    """The tables of a stack; what these methods read does not grow with the tables."""

    def job_page(self, page_filter: PageFilter) -> JobPage:
        """Return a page of recorded jobs; the time that it takes depends on its size only."""
        chosen = page_filter
        before = chosen.before or Place(datetime.max.replace(tzinfo=UTC), sys.maxsize)
        branches = max(1, len(chosen.pipelines) * len(chosen.states))
        most = chosen.most + 1
        depth = most + _SKIPPED if chosen.is_last else most
        if chosen.like is not None:
            depth = max(depth, _SEARCHED // branches)
        rows = self._rows(
            "job_page",
            pipelines=list(chosen.pipelines),
            states=list(chosen.states),
            like=chosen.like,
            retried=not chosen.is_last,
            before=before.recorded,
            place=before.number,
            depth=depth,
            most=most,
        )
        jobs = [row for row in rows if row["id"]][: chosen.most]
        older = None
        if len(rows) > len(jobs):  # another job, or the place that was reached
            last = jobs[-1] if len(jobs) == chosen.most else rows[-1]
            older = Place(last["created_at"], last["place"])
        return JobPage(jobs, older)

    def jobs_of_key(self, pipelines: Sequence[str], key: str, most: int) -> list[dict[str, Any]]:
        """Return the newest recorded jobs on a key, newest first."""
        return self._rows("jobs_of_key", pipelines=list(pipelines), key=key, most=most)

    def recorded(self, identifiers: Sequence[str]) -> set[str]:
        """Return those of some ids that are of recorded jobs."""
        return {row["id"] for row in self._rows("recorded_jobs", ids=list(identifiers))}

    def outputs_of(self, identifiers: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Return the first objects that jobs stored; `total` is the number of a job's."""
        return self._rows("outputs_of", ids=list(identifiers), most=most)

    def output(self, identifier: str, number: int) -> dict[str, Any] | None:
        """Return one object that a job stored, None if there is none of this number."""
        rows = self._rows("output", id=identifier, number=number)
        return rows[0] if rows else None

    def records_of(self, identifiers: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Return the first records of jobs: job_id, number, data."""
        return self._rows("records_of", ids=list(identifiers), most=most)

    def now(self) -> datetime:
        """Return the database's time."""
        (row,) = self._rows("now")
        found: datetime = row["now"]
        return found

    def throughput(self, pipelines: Sequence[str], since: datetime) -> list[dict[str, Any]]:
        """Return for each minute the jobs that were recorded: pipeline, minute, done, failed."""
        return self._rows("throughput", pipelines=list(pipelines), since=since)

    def done_before(self, pipelines: Sequence[str], until: datetime) -> dict[str, int]:
        """Return for each pipeline how many jobs were done before a time; it reads all of them."""
        rows = self._rows("done_before", pipelines=list(pipelines), until=until)
        return {row["pipeline"]: row["done"] for row in rows}

    def quarantined_counts(self, pipelines: Sequence[str]) -> dict[str, int]:
        """Return for each pipeline how many quarantined jobs were not retried."""
        rows = self._rows("quarantined_counts", pipelines=list(pipelines))
        return {row["pipeline"]: row["quarantined"] for row in rows}
