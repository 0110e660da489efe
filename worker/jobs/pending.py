"""Jobs that are not recorded yet: uploads in the input buckets, and who works on them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nlargest
from itertools import islice
from typing import Any

from worker.errors import ObjectMissing, UploadDeferred
from worker.jobs.fetch import NUMBER, PARENT, RETRY
from worker.ledger.ledger import RUNNING, WAITING
from worker.ledger.stack_ledger import StackLedger
from worker.settings import Pipeline
from worker.store.store import Store
from worker.uploads.job import Job, Parent, first_job, job_id
from worker.uploads.listing import group_by_key
from worker.uploads.upload import Upload

_BATCH = 500  # uploads per query
_REASONS = 20  # that are kept of a backlog


@dataclass(frozen=True)
class PendingJob:
    """An upload that is not recorded yet.

    Attributes:
        pipeline: The pipeline whose input bucket it is in.
        upload: The upload, as it was listed.
        attempts: How often it was started.
        problem: Why the last attempt failed, None if it did not.
        failed: When it failed.
        machine: The machine that works on it now, if any.
        started: Since when, if one does.
        origins: What it may be: put back by a retry, or a copy of another pipeline's result. Its
            metadata decides.
    """

    pipeline: Pipeline
    upload: Upload
    attempts: int
    problem: str | None
    failed: datetime | None
    machine: str | None
    started: datetime | None
    origins: list[dict[str, Any]]

    @property
    def state(self) -> str:
        """WAITING or RUNNING."""
        return RUNNING if self.machine else WAITING

    def may_be_of(self, run: str) -> bool:
        """Return whether it may belong to a run whose id begins with this."""
        own_run = first_job(self.pipeline.name, self.upload).run_id
        return any(one.startswith(run) for one in (own_run, *(o["run"] for o in self.origins)))

    @property
    def time(self) -> datetime:
        """When the machine started, or when the object was uploaded."""
        return (self.started or self.upload.last_modified).astimezone(UTC)


@dataclass(frozen=True)
class Backlog:
    """What a pipeline's input bucket holds.

    Attributes:
        seen: When it was listed; None if it was not yet.
        waiting: Jobs that wait.
        running: Jobs that a machine works on.
        bytes: Of all of them.
        oldest: When the oldest was uploaded.
        newest: The newest of them, newest first.
        problems: Why attempts failed, and of how many jobs.
    """

    seen: datetime | None = None
    waiting: int = 0
    running: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    newest: Sequence[PendingJob] = ()
    problems: Sequence[tuple[str, int]] = ()

    @property
    def pending(self) -> int:
        """How many jobs wait or run."""
        return self.waiting + self.running


def tally(ledger: StackLedger, store: Store, pipeline: Pipeline, newest: int = 0) -> Backlog:
    """List an input bucket and count its jobs.

    Args:
        ledger: The stack's.
        store: The object store.
        pipeline: The pipeline.
        newest: How many jobs it keeps.

    Returns:
        The counts, with the newest jobs.
    """
    seen = datetime.now(UTC)
    count = running = size = 0
    oldest = None
    kept: list[PendingJob] = []
    problems: Counter[str] = Counter()
    for job in pending_jobs(ledger, store, pipeline):
        upload = job.upload
        count, running = count + 1, running + (job.state == RUNNING)
        size += upload.size
        oldest = min(oldest or upload.last_modified, upload.last_modified)
        if job.problem:  # the same for other uploads, but for the key
            problems[job.problem.replace(repr(upload.key), "it")] += 1
        if newest:
            kept.append(job)
            if len(kept) >= 2 * newest:
                kept = _latest(kept, newest)
    reasons = problems.most_common(_REASONS)
    return Backlog(seen, count - running, running, size, oldest, _latest(kept, newest), reasons)


def _latest(jobs: Sequence[PendingJob], most: int) -> list[PendingJob]:
    return nlargest(most, jobs, key=lambda job: job.time)


def pending_jobs(ledger: StackLedger, store: Store, pipeline: Pipeline) -> Iterator[PendingJob]:
    """List an input bucket.

    Args:
        ledger: The stack's.
        store: The object store.
        pipeline: The pipeline.

    Yields:
        The jobs that are waiting or running. What the pipeline ignores, and uploads that only wait
        for their deletion, are left out.

    Raises:
        ServiceUnavailable: The store or the database cannot be used; noticed soon.
    """  # noqa: DOC502  raised by store and ledger
    store.check_bucket(pipeline.input, soon=True)
    pages = store.list_pages(pipeline.input, versions=store.is_versioned(pipeline.input))
    works = group_by_key(pipeline.input, pages, pipeline.ignore)
    uploads = (upload for work in works for upload in work.uploads)
    while batch := list(islice(uploads, _BATCH)):
        for row in ledger.pending(pipeline.name, pipeline.sources, batch):
            upload = batch[row.pop("number")]
            names = ("attempts", "problem", "failed_at", "machine", "started_at", "origins")
            yield PendingJob(pipeline, upload, *(row[name] for name in names))


def identify_pending(store: Store, pending: PendingJob) -> Job:
    """Return the job on a pending upload, as the worker will find it."""
    upload, name = pending.upload, pending.pipeline.name
    metadata = _metadata(store, upload) if pending.origins else {}
    for origin in pending.origins:
        number = origin["parent_number"]
        is_retry = origin["retry"] is not None and metadata.get(RETRY) == origin["retry"]
        claimed = (metadata.get(PARENT), metadata.get(NUMBER))
        if is_retry or (origin["retry"] is None and claimed == (origin["parent"], str(number))):
            own_id = job_id(name, upload, origin["round"])
            parent = Parent(origin["parent"], number) if origin["parent"] else None
            return Job(own_id, upload, origin["run"], origin["round"], parent, origin["retry"])
    return first_job(name, upload)


def _metadata(store: Store, upload: Upload) -> dict[str, str]:
    try:
        return dict(store.head(upload.bucket, upload.key, upload.version_id).metadata)
    except (ObjectMissing, UploadDeferred):  # processed or deleted meanwhile
        return {}
