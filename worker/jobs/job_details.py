"""`jobs show`: everything about one job."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC
from typing import Any

from worker.errors import JobRefused
from worker.jobs.job_list import pending_row
from worker.jobs.pending import PendingJob, identify_pending, pending_jobs
from worker.ledger.ledger import DROPPED, QUARANTINED, WAITING
from worker.ledger.runs import Gather, Run, RunJob
from worker.ledger.stack_ledger import StackLedger
from worker.settings import Pipeline
from worker.store.store import Store

_ROW = (
    *("id", "pipeline", "state", "key", "machine", "run", "attempts", "seconds"),
    *("results", "reason", "retried_by", "time"),
)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def find_job(
    ledger: StackLedger, store: Store, pipelines: Sequence[Pipeline], prefix: str
) -> str | PendingJob:
    """Find a job by the beginning of its id.

    Args:
        ledger: The stack's.
        store: The object store.
        pipelines: Those whose input buckets are searched if no recorded job has this id.
        prefix: The id, or its first digits.

    Returns:
        The id of a recorded job, or a job that is not recorded yet.

    Raises:
        JobRefused: There is none, or there are several.
    """
    found: list[str | PendingJob] = [*ledger.find(prefix)]
    if not found:
        found += [
            job
            for pipeline in pipelines
            for job in pending_jobs(ledger, store, pipeline)
            if identify_pending(store, job).id.startswith(prefix)
        ]
    if not found:
        raise JobRefused(f"No job has an id that begins with {prefix}: `jobs` lists them.")
    if len(found) > 1:
        raise JobRefused(f"Several jobs have ids that begin with {prefix}: give more digits.")
    return found[0]


def job_details(
    ledger: StackLedger, store: Store, pipelines: Sequence[Pipeline], prefix: str
) -> dict[str, Any]:
    """Return all about a job, as `jobs show --json` prints it.

    Args:
        ledger: The stack's.
        store: The object store.
        pipelines: All pipelines.
        prefix: The job's id, or its first digits.

    Raises:
        JobRefused: There is no such job, or there are several.
    """  # noqa: DOC502  raised by find_job
    found = find_job(ledger, store, pipelines, prefix)
    if isinstance(found, PendingJob):
        return _pending_details(ledger, store, found)
    row = ledger.job(found)
    assert row is not None  # noqa: S101  rows are never deleted
    outputs = ledger.outputs(found)
    for output in outputs:
        output["bucket"] = output["bucket"] or _output_bucket(pipelines, row["pipeline"])
    return {name: row.get(name) for name in _ROW} | {
        "results": [output["key"] for output in outputs],
        "input": {
            name: row[name]
            for name in ("bucket", "key", "version_id", "etag", "last_modified", "sha256", "bytes")
        },
        "timeline": _timeline(row),
        "notes": row["notes"],
        "log": row["log"],
        "text": row["input_text"],
        "records": row["records"],
        "outputs": outputs,
        "retry_of": row["retry_of"],
        **_lineage(ledger, row["run"], found, row["parent_id"], row["parent_number"]),
    }


def _pending_details(ledger: StackLedger, store: Store, pending: PendingJob) -> dict[str, Any]:
    job, upload = identify_pending(store, pending), pending.upload
    row = pending_row(store, pending)
    timeline = [_event(upload.last_modified.strftime(_TIME), "uploaded", f"to {upload.bucket}")]
    if pending.failed:
        failed = pending.failed.astimezone(UTC).strftime(_TIME)
        timeline.append(_event(failed, "failed", pending.problem or ""))
    if pending.started:
        timeline.append(_event(row["time"], "started", f"on {pending.machine}"))
    parent = (job.parent.job_id, job.parent.number) if job.parent else (None, None)
    identity = {name: value for name, value in asdict(upload).items() if name != "size"}
    return row | {
        "input": identity
        | {
            "last_modified": upload.last_modified.strftime(_TIME),
            "sha256": None,
            "bytes": upload.size,
        },
        "timeline": timeline,
        "notes": [],
        "log": None,
        "text": None,
        "records": 0,
        "outputs": [],
        "retry_of": job.retry_of,
        **_lineage(ledger, job.run_id, job.id, *parent),
    }


def _output_bucket(pipelines: Sequence[Pipeline], name: str) -> str:
    return next((one.output for one in pipelines if one.name == name), "")


def _timeline(row: dict[str, Any]) -> list[dict[str, str]]:
    attempts = row["attempts"] or 1
    took = f"{row['seconds']:.3f} s on {row['machine']}"
    if attempts > 1:
        took += f", attempt {attempts}"
    # A dropped job was quarantined before.
    outcome = QUARANTINED if row["state"] == DROPPED else row["state"]
    reason = f": {row['reason']}" if row["reason"] else ""
    events = [
        _event(row["last_modified"], "uploaded", f"to {row['bucket']}"),
        _event(row["time"], outcome, took + reason),
        _event(row["put_back_at"], "put back", f"into {row['bucket']}"),
        _event(row["retried_at"], "retried", f"as {row['retried_by']}: {row['retried_as']}"),
        _event(row["dropped_at"], DROPPED, "its quarantined copy was deleted"),
    ]
    return sorted((one for one in events if one["time"]), key=lambda one: one["time"])


def _event(time: str, event: str, text: str) -> dict[str, str]:
    return {"time": time, "event": event, "text": text}


def _lineage(
    ledger: StackLedger, run_id: str, own_id: str, parent_id: str | None, number: int | None
) -> dict[str, Any]:
    """Return where a job's input came from, up to the run's first upload, and what followed."""
    run, gathers = ledger.run(run_id), ledger.gathers(run_id)
    gather = gathers.get(parent_id or "")
    jobs = {job.id: job for job in run.jobs}
    # What made the run's first upload is no job: a camera sent it.
    sent = {jobs[run_id].parent_id} if run_id in jobs else set()
    return {
        "parent": _ancestors(jobs, {*gathers, *sent}, parent_id, number),
        "members": [asdict(one) for one in gather.members] if gather else [],
        "children": _descendants(_children(run, gathers), own_id, set()),
    }


def _ancestors(
    jobs: Mapping[str, RunJob],
    others: Collection[str | None],
    parent_id: str | None,
    number: int | None,
) -> dict[str, Any] | None:
    """Return what a job's input was a result of; None for a first upload and for a gather.

    Args:
        jobs: Of the run, by id.
        others: The ids of gathers and messages.
        parent_id: The job that made the input.
        number: The number of that result.
    """
    if parent_id is None or parent_id in others:
        return None
    # A parent whose results were copied already is recorded a moment later.
    job = jobs.get(parent_id)
    above = (job.parent_id, job.parent_number) if job else (None, None)
    return {
        "id": parent_id,
        "pipeline": job and job.pipeline,
        "key": job and job.key,
        "number": number,
        "parent": _ancestors(jobs, others, *above),
    }


def _children(run: Run, gathers: Mapping[str, Gather]) -> dict[str, list[RunJob]]:
    """Return the jobs that read results of a job, by its id."""
    children: dict[str, list[RunJob]] = {}
    recorded = [job for job in run.jobs if job.state != WAITING and job.parent_id]
    for job in sorted(recorded, key=lambda one: (one.parent_number or 0, one.pipeline, one.id)):
        gather = gathers.get(job.parent_id or "")
        members = dict.fromkeys(one.job for one in gather.members) if gather else [job.parent_id]
        for parent in members:
            children.setdefault(parent or "", []).append(job)
    return children


def _descendants(
    children: Mapping[str, list[RunJob]], own_id: str, seen: set[str]
) -> list[dict[str, Any]]:
    """Return what followed a job; what was gathered from several of them comes once."""
    found = []
    for job in children.get(own_id, []):
        if job.id in seen:
            continue
        seen.add(job.id)
        found.append(
            {
                "id": job.id,
                "pipeline": job.pipeline,
                "key": job.key,
                "number": job.parent_number,
                "state": job.state,
                "children": _descendants(children, job.id, seen),
            }
        )
    return found
