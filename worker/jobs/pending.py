"""Jobs that are not recorded yet: uploads in the input buckets, and who works on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
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


def pending_jobs(ledger: StackLedger, store: Store, pipeline: Pipeline) -> Iterator[PendingJob]:
    """List an input bucket.

    Args:
        ledger: The stack's.
        store: The object store.
        pipeline: The pipeline.

    Yields:
        The jobs that are waiting or running. What the pipeline ignores, and uploads that only wait
        for their deletion, are left out.
    """
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
