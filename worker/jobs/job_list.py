"""`jobs list`: recorded jobs, and those that are still in the input buckets."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from worker.jobs.pending import PendingJob, identify_pending, pending_jobs
from worker.ledger.ledger import RUNNING, WAITING
from worker.ledger.stack_ledger import JobFilter, StackLedger
from worker.settings import Pipeline
from worker.store.store import Store

_PENDING = (WAITING, RUNNING)


def list_jobs(
    ledger: StackLedger, store: Store, pipelines: Sequence[Pipeline], job_filter: JobFilter
) -> Iterator[dict[str, Any]]:
    """Return the newest jobs that match a filter, oldest first.

    Args:
        ledger: The stack's.
        store: The object store.
        pipelines: Those whose input buckets are listed.
        job_filter: Which jobs.

    Yields:
        A row per job: id, pipeline, state, key, machine, run, attempts, seconds, results, reason,
        retried_by, time. Recorded jobs come as the database sends them.
    """
    # First the buckets: a job that is recorded meanwhile may come twice, but is never missing.
    is_pending = job_filter.state in (None, *_PENDING)
    pending = _pending_rows(ledger, store, pipelines, job_filter) if is_pending else []
    if job_filter.state in _PENDING:
        yield from pending
        return
    rows = ledger.jobs(job_filter)
    first = next(rows, None)
    if first is None:
        yield from pending
        return
    surplus = max(first["total"] + len(pending) - job_filter.last, 0)
    merged = heapq.merge(_recorded(first, rows), pending, key=lambda row: row["time"])
    for number, row in enumerate(merged):
        if number >= surplus:
            yield row


def _recorded(first: dict[str, Any], rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    del first["total"]
    yield first
    for row in rows:
        del row["total"]
        yield row


def _pending_rows(
    ledger: StackLedger, store: Store, pipelines: Sequence[Pipeline], job_filter: JobFilter
) -> list[dict[str, Any]]:
    """Return the newest pending jobs that match the filter, oldest first."""
    found = (
        job
        for pipeline in pipelines
        for job in pending_jobs(ledger, store, pipeline)
        if _matches(job, job_filter)
    )
    if job_filter.run is None:  # their runs are only looked up if they are shown
        newest = heapq.nlargest(job_filter.last, found, key=_order)
        return [pending_row(store, job) for job in reversed(newest)]
    run = job_filter.run
    likely = (job for job in found if job.may_be_of(run))
    rows = (pending_row(store, job) for job in sorted(likely, key=_order))
    return [row for row in rows if row["run"].startswith(run)][-job_filter.last :]


def pending_row(store: Store, pending: PendingJob) -> dict[str, Any]:
    """Return the row of a job that is not recorded yet."""
    job = identify_pending(store, pending)
    return {
        "id": job.id,
        "pipeline": pending.pipeline.name,
        "state": pending.state,
        "key": pending.upload.key,
        "machine": pending.machine,
        "run": job.run_id,
        "attempts": pending.attempts,
        "seconds": None,
        "results": [],
        "reason": pending.problem,
        "retried_by": None,
        "time": pending.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _order(job: PendingJob) -> tuple[object, ...]:
    return job.time, job.pipeline.name, job.upload.key


def _matches(job: PendingJob, job_filter: JobFilter) -> bool:
    return (
        job_filter.state in (None, job.state)
        and (job_filter.since is None or job.time >= job_filter.since)
        and (job_filter.like is None or job_filter.like in job.upload.key)
        and (job_filter.reason is None or job_filter.reason in (job.problem or ""))
    )
