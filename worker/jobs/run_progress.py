"""What a run still has to do before its results are gathered. Pure functions."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from worker.ledger.ledger import DONE, QUARANTINED, WAITING
from worker.ledger.runs import Gather, Run, RunJob, RunResult, Upstream


class Cause(Enum):
    """Why a gather waits."""

    QUARANTINED = "quarantined"
    PUT_BACK = "put back"
    UNRECORDED = "unrecorded"
    NO_JOB = "no job"
    NOT_GATHERED = "not gathered"


@dataclass(frozen=True)
class Obstacle:
    """Something that a gather waits for.

    Attributes:
        cause: Why.
        pipeline: The pipeline that has to do something.
        job: The job, or the one whose result has no job in the pipeline yet; None for a gather.
        number: The number of that result.
    """

    cause: Cause
    pipeline: str
    job: RunJob | None = None
    number: int | None = None


def obstacles(run: Run, upstream: Upstream) -> Iterator[Obstacle]:
    """Yield what a gather of a run waits for: it is due if there is nothing.

    Every job upstream must be done or dropped: the recorded ones, those that copies of stored
    results will cause, and those of pipelines upstream that gather themselves. A quarantined job
    waits for an operator, who retries or drops it.

    Args:
        run: The run.
        upstream: What is upstream of the pipeline that gathers.
    """
    jobs = {one.id: one for one in run.jobs if one.pipeline in upstream.pipelines}
    repeated = _repeated(run)
    for job in run.jobs:
        if job.pipeline not in upstream.pipelines:
            continue
        if job.state == WAITING:
            yield Obstacle(Cause.UNRECORDED, job.pipeline, job)
        elif job.is_put_back:
            yield Obstacle(Cause.PUT_BACK, job.pipeline, job)
        elif job.state == QUARANTINED and job.id not in repeated:
            yield Obstacle(Cause.QUARANTINED, job.pipeline, job)
    parents = {(one.pipeline, one.parent_id, one.parent_number) for one in jobs.values()}
    for result in run.results:
        if result.job in repeated or result.job not in jobs:
            continue
        for source, reader in upstream.readers:
            place = (reader, result.job, result.number)
            if source == result.pipeline and place not in parents:
                yield Obstacle(Cause.NO_JOB, reader, jobs[result.job], result.number)
    for name, sources in upstream.gatherers.items():
        is_gathered = (name, run.gathers.get(name), 1) in parents
        if not is_gathered and gathered_results(run, sources):
            yield Obstacle(Cause.NOT_GATHERED, name)


def gathered_results(run: Run, sources: Sequence[str]) -> list[RunResult]:
    """Return the results that a gather of a run consists of, by source, key and number.

    What was made of an upload that was processed again since does not count: only the results of
    the last time do.

    Args:
        run: The run.
        sources: The pipelines whose results are gathered.
    """
    replaced = _replaced(run)
    found = [one for one in run.results if one.pipeline in sources and one.job not in replaced]
    return sorted(found, key=lambda one: (sources.index(one.pipeline), one.key, one.number))


def gather_of(run: Run, upstream: Upstream) -> Gather:
    """Return the gather of a run for which there are no obstacles."""
    members = gathered_results(run, upstream.sources)
    return Gather(upstream.gatherer, run.id, run.key, members)


def _repeated(run: Run) -> set[str]:
    """Return the jobs that a recorded retry repeated."""
    return {one.retry_of for one in run.jobs if one.retry_of and one.state != WAITING}


def _replaced(run: Run) -> Collection[str]:
    """Return the jobs whose uploads, or whose ancestors' uploads, were done again since."""
    retries: dict[str, list[RunJob]] = {}
    for job in run.jobs:
        if job.retry_of:
            retries.setdefault(job.retry_of, []).append(job)

    def is_done_again(job: RunJob) -> bool:
        return any(one.state == DONE or is_done_again(one) for one in retries.get(job.id, ()))

    replaced = {job.id for job in run.jobs if is_done_again(job)}
    children: dict[str, list[str]] = {}
    for job in run.jobs:
        if job.parent_id:
            children.setdefault(job.parent_id, []).append(job.id)
    pending = list(replaced)
    while pending:
        more = [one for one in children.get(pending.pop(), ()) if one not in replaced]
        replaced.update(more)
        pending += more
    return replaced
