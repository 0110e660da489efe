"""`jobs run`: how far a run is, and what keeps it from ending."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.errors import JobRefused
from worker.jobs.pending import PendingJob, identify_pending, pending_jobs
from worker.jobs.run_progress import Cause, Obstacle, gathered_results, obstacles
from worker.ledger.ledger import DONE, DROPPED, QUARANTINED, RUNNING, WAITING
from worker.ledger.runs import Run, upstream_of, whole_stack
from worker.ledger.stack_ledger import StackLedger
from worker.settings import Pipeline
from worker.store.store import Store
from worker.uploads.job import Job, short_id

_STATES = (WAITING, RUNNING, DONE, QUARANTINED, DROPPED)

_Pending = Sequence[tuple[PendingJob, Job]]


def run_report(
    ledger: StackLedger, store: Store, pipelines: Mapping[str, Pipeline], prefix: str
) -> dict[str, Any]:
    """Return how far a run is, as `jobs run --json` prints it.

    Args:
        ledger: The stack's.
        store: The object store.
        pipelines: All pipelines.
        prefix: The run's id or that of one of its jobs, or its first digits.

    Returns:
        run, pipeline, key, text (of the first upload), uploaded, changed, ended (whether nothing is
        left to do), blocked (sentences: what an operator must do), gathers (the pipelines that have
        not gathered it yet: pipeline, waits_for), pipelines (name, and a count for each state).

    Raises:
        JobRefused: There is no such run, or there are several.
    """  # noqa: DOC502  raised by _find
    # First the buckets: a job that is recorded meanwhile may count twice, but is never missing.
    found, pending = _find(ledger, store, pipelines, prefix)
    start, run = ledger.run_start(found), ledger.run(found)
    recorded = {job.id for job in run.jobs if job.state != WAITING}
    pending = [(one, job) for one, job in pending if job.id not in recorded]
    younger = set(start.pop("younger_pipelines"))  # than the run, which they do not gather
    left = [
        one
        for one in obstacles(run, whole_stack(pipelines))
        if not (one.cause is Cause.NOT_GATHERED and one.pipeline in younger)
    ]
    first = pending[0] if pending and not run.jobs else None
    if first:
        start |= {"pipeline": first[0].pipeline.name, "key": first[0].upload.key}
        start |= {"uploaded": first[0].upload.last_modified.strftime("%Y-%m-%dT%H:%M:%SZ")}
    gathers = list(_gathers(run, pipelines, younger))
    quarantined = {one.job.id for one in left if one.cause is Cause.QUARANTINED and one.job}
    is_waiting = bool(pending) or any(one.cause is not Cause.QUARANTINED for one in left)
    return {
        "run": found,
        **start,
        "ended": not is_waiting,
        "blocked": list(_blocked(left, pending, is_awaited=bool(gathers))),
        "gathers": gathers,
        "pipelines": _counts(run, pending, pipelines, quarantined),
    }


def _find(
    ledger: StackLedger, store: Store, pipelines: Mapping[str, Pipeline], prefix: str
) -> tuple[str, _Pending]:
    """Return a run and its jobs that are not recorded."""
    known = ledger.find_runs(prefix)
    likely = [
        (one, identify_pending(store, one))
        for pipeline in pipelines.values()
        for one in pending_jobs(ledger, store, pipeline)
        if one.may_be_of(known[0] if known else prefix)
    ]
    runs = set(known) | {job.run_id for _, job in likely if job.run_id.startswith(prefix)}
    if not runs:
        raise JobRefused(f"No run has an id that begins with {prefix}: `jobs` lists them.")
    if len(runs) > 1:
        raise JobRefused(f"Several runs have ids that begin with {prefix}: give more digits.")
    (run,) = runs
    return run, [(one, job) for one, job in likely if job.run_id == run]


def _gathers(
    run: Run, pipelines: Mapping[str, Pipeline], younger: set[str]
) -> Iterator[dict[str, Any]]:
    """Yield the pipelines that will gather the run, and how many of its jobs they wait for."""
    for one in pipelines.values():
        if not one.gather or one.name in run.gathers or one.name in younger:
            continue
        upstream = upstream_of(pipelines, one.name)
        waits_for = sum(1 for _ in obstacles(run, upstream))
        if waits_for or gathered_results(run, one.sources):
            yield {"pipeline": one.name, "waits_for": waits_for}


def _counts(
    run: Run, pending: _Pending, pipelines: Mapping[str, Pipeline], quarantined: set[str]
) -> list[dict[str, Any]]:
    """Return the jobs in each state; a quarantined one that was repeated does not count."""
    counts = Counter(
        (job.pipeline, job.state)
        for job in run.jobs
        if job.state in (DONE, DROPPED) or job.id in quarantined
    )
    counts.update((one.pipeline.name, one.state) for one, _ in pending)
    rows = [
        {"name": name, **{state: counts[name, state] for state in _STATES}} for name in pipelines
    ]
    return [row for row in rows if any(row[state] for state in _STATES)]


def _blocked(left: Sequence[Obstacle], pending: _Pending, *, is_awaited: bool) -> Iterator[str]:
    """Yield what an operator should know, a sentence each.

    Args:
        left: What is left to do.
        pending: The jobs that are not recorded.
        is_awaited: Whether a pipeline still has to gather the run.
    """
    parents = {
        (one.pipeline.name, job.parent.job_id, job.parent.number)
        for one, job in pending
        if job.parent
    }
    retried = {job.retry_of for _, job in pending}
    for one in left:
        job = one.job
        if job is None:
            continue
        short = short_id(job.id)
        named = f"Job {short} ({job.pipeline}: {job.key!r})"
        if one.cause is Cause.QUARANTINED and is_awaited:
            yield (
                f"{named} is quarantined: {job.reason}. `jobs retry {short}` processes it again, "
                f"`jobs drop {short}` leaves it out."
            )
        elif one.cause is Cause.PUT_BACK and job.id not in retried:
            yield (
                f"{named} was put back, but its upload is no longer in the input bucket: "
                f"`jobs retry {short}` puts it back again."
            )
        elif one.cause is Cause.NO_JOB and (one.pipeline, job.id, one.number) not in parents:
            yield (
                f"Result {one.number} of {named[0].lower()}{named[1:]} has no job in "
                f"{one.pipeline}, and its copy is no longer in the input bucket: upload the run's "
                "first object again."
            )
    for waiting, _ in pending:
        if waiting.problem:
            yield f"{waiting.upload.key!r} waits in {waiting.pipeline.name}: {waiting.problem}"
