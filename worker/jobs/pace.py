"""The progress of a pipeline: what its queue holds, and how long its backlog still takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.quantities import counted, duration

_Row = dict[str, Any]


def seconds_left(pending: int, rates: Sequence[_Row]) -> float | None:
    """Estimate when a backlog will have been processed.

    Args:
        pending: How many jobs wait or run.
        rates: The pipeline's rows of `StackLedger.rates`.

    Returns:
        The seconds; None if nothing is pending, or nothing was recorded during the last minutes.
    """
    recorded = sum(row["recorded"] for row in rates)
    if not (pending and recorded):
        return None
    return float(pending * max(row["seconds"] for row in rates) / recorded)


def time_left(pending: int, seconds: float | None) -> str:
    """Return the estimate for people, "" if nothing is pending."""
    if not pending:
        return ""
    return "time left unknown" if seconds is None else f"about {duration(seconds)} left"


def queue_text(queue: Mapping[str, int]) -> str:
    """Return what a queue holds (sql/queue_depths.sql) for people."""
    uploads = counted(queue["uploads"], "upload")
    tasks = counted(queue["queued"] + queue["running"], "task")
    return f"{uploads} in {tasks}, {queue['running']} running"
