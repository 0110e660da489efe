"""`jobs retry` and `jobs drop`: what operators do with quarantined uploads.

Every step may be repeated: a command that was killed at any moment is run again.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from worker.errors import JobRefused, ObjectMissing, UploadDeferred
from worker.jobs import quarantine
from worker.jobs.fetch import RETRY
from worker.jobs.job_details import find_job
from worker.jobs.pending import PendingJob
from worker.ledger.ledger import QUARANTINED
from worker.ledger.stack_ledger import StackLedger
from worker.settings import Settings
from worker.store.store import ObjectInfo, Source, Store
from worker.uploads.listing import group_by_key

_OPAQUE = "application/octet-stream"
_SHOWN_DIGITS = 12


class QuarantinedJobs:
    """Retries and drops quarantined jobs.

    Args:
        settings: The stack's.
        ledger: The stack's.
        store: The object store.
        force: Whether to act although an upload of the key waits, or a newer one is done.
    """

    def __init__(
        self, settings: Settings, ledger: StackLedger, store: Store, *, force: bool
    ) -> None:
        self._settings, self._ledger, self._store, self._force = settings, ledger, store, force
        self._is_versioned = cache(store.is_versioned)

    def retry(self, prefix: str) -> dict[str, Any]:
        """Put a quarantined upload back into its input bucket.

        Its quarantined copy stays until a worker has recorded the upload as done.

        Args:
            prefix: The job's id, or its first digits.

        Returns:
            A row: id, pipeline, key, ok, problem.
        """
        return self._change(prefix, "retried", self._retry)

    def drop(self, prefix: str) -> dict[str, Any]:
        """Delete a quarantined copy, and record the job as dropped.

        Args:
            prefix: The job's id, or its first digits.

        Returns:
            A row: id, pipeline, key, ok, problem.
        """
        return self._change(prefix, "dropped", self._drop)

    def _change(
        self, prefix: str, what: str, change: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"id": prefix, "pipeline": None, "key": None}
        try:
            found = find_job(
                self._ledger, self._store, list(self._settings.pipelines.values()), prefix
            )
        except JobRefused as error:
            return row | {"ok": False, "problem": str(error)}
        if isinstance(found, PendingJob):
            row |= {"pipeline": found.pipeline.name, "key": found.upload.key}
            problem = f"it is {found.state}; wait until it is done or quarantined"
            return row | {"ok": False, "problem": _sentence(row, what, problem)}
        with self._ledger.locked(found):
            job = self._job(found)
            row = {name: job[name] for name in row}
            try:
                change(job)
            except (JobRefused, UploadDeferred) as error:
                return row | {"ok": False, "problem": _sentence(row, what, str(error))}
        return row | {"ok": True, "problem": None}

    def _job(self, identifier: str) -> dict[str, Any]:
        job = self._ledger.job(identifier)
        assert job is not None  # noqa: S101  rows are never deleted
        return job

    def _check_state(self, job: dict[str, Any]) -> None:
        if job["state"] != QUARANTINED:
            raise JobRefused(f"it is {job['state']}, and only quarantined jobs can be")
        if job["retried_by"]:
            again = job["retried_by"][:_SHOWN_DIGITS]
            remedy = f"; use {again}" if job["retried_as"] == QUARANTINED else ""
            raise JobRefused(f"job {again} repeated it and is {job['retried_as']}{remedy}")
        if job["newer_done"] and not self._force:
            raise JobRefused(
                f"a newer upload of the key is done (job {job['newer_done'][:_SHOWN_DIGITS]}); "
                "--force does it nevertheless"
            )

    def _retry(self, job: dict[str, Any]) -> None:
        self._check_state(job)
        bucket, key = self._input(job), job["key"]
        there = self._head(bucket, key)
        if there and self._is_put_back(bucket, key, there, job["id"]):
            return
        if there and not self._is_versioned(bucket):
            raise JobRefused(
                f"an upload of the key waits in {bucket}, which keeps no versions; wait until it "
                "is processed, or delete it"
            )
        self._check_waiting(there, bucket)
        copy = self._copy(job)
        # After the look at the bucket: a retry that a worker has ended meanwhile is recorded.
        if not self._ledger.retry(job["id"]):
            raise JobRefused("it was retried meanwhile; `jobs show` names the job that repeats it")
        try:
            self._store.copy(copy, bucket, key, _OPAQUE, {RETRY: job["id"]})
        except ObjectMissing:
            raise JobRefused(_no_copy(self._settings.store.quarantine)) from None

    def _drop(self, job: dict[str, Any]) -> None:
        if job["pipeline"] in self._settings.pipelines:
            bucket = self._input(job)
            self._check_waiting(self._head(bucket, job["key"]), bucket)
        # After the look at the bucket: a retry that a worker has ended meanwhile is recorded.
        job = self._job(job["id"])
        self._check_state(job)
        if not job["shares_copy"]:
            where = (job["pipeline"], job["key"], job["sha256"])
            quarantine.remove(self._store, self._settings.store.quarantine, *where)
        if not self._ledger.drop(job["id"]):
            raise JobRefused("it was retried meanwhile; `jobs show` names the job that repeats it")

    def _check_waiting(self, there: ObjectInfo | None, bucket: str) -> None:
        if there and not self._force:
            raise JobRefused(
                f"an upload of the key waits in {bucket}; wait until it is processed, or give "
                "--force"
            )

    def _input(self, job: dict[str, Any]) -> str:
        pipeline = self._settings.pipelines.get(job["pipeline"])
        if pipeline is None:
            raise JobRefused(f"its pipeline {job['pipeline']!r} was deleted; create it again first")
        return pipeline.input

    def _head(self, bucket: str, key: str, version_id: str = "") -> ObjectInfo | None:
        try:
            return self._store.head(bucket, key, version_id)
        except ObjectMissing:
            return None

    def _is_put_back(self, bucket: str, key: str, latest: ObjectInfo, own_id: str) -> bool:
        """Return whether the input bucket has the upload already."""
        if latest.metadata.get(RETRY) == own_id:
            return True
        if not (self._force and self._is_versioned(bucket)):
            return False  # refused anyway
        # Below a newer version: only a listing shows it.
        pages = self._store.list_pages(bucket, versions=True)
        versions = [
            upload.version_id
            for work in group_by_key(bucket, pages)
            if work.key == key
            for upload in work.uploads
        ]
        heads = (self._head(bucket, key, version) for version in versions)
        return any(head.metadata.get(RETRY) == own_id for head in heads if head)

    def _copy(self, job: dict[str, Any]) -> Source:
        bucket = self._settings.store.quarantine
        where = (job["pipeline"], job["key"], job["sha256"])
        for stored in quarantine.possible_keys(*where):
            if found := self._head(bucket, stored):
                return Source(bucket, stored, "", found.etag)
        raise JobRefused(_no_copy(bucket))


def _no_copy(bucket: str) -> str:
    return f"its copy is no longer in {bucket}; upload the file again, or drop the job"


def _sentence(row: dict[str, Any], what: str, problem: str) -> str:
    named = f"Job {row['id'][:_SHOWN_DIGITS]} ({row['key']!r})"
    return f"{named} was not {what}: {problem.rstrip('.')}."
