"""`jobs retry` and `jobs drop`: what operators do with recorded jobs.

Every step may be repeated, so a command that was killed can be run again. A retry needs no lock:
workers delete further copies of an upload that was put back, and copies whose job was dropped
meanwhile. A drop leases the key, so that no worker quarantines the same content under it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from worker.errors import JobRefused, ObjectMissing, UploadDeferred
from worker.jobs import quarantine
from worker.jobs.fetch import RETRY
from worker.jobs.job_details import find_job
from worker.jobs.pending import PendingJob
from worker.ledger.ledger import DONE, LEASE_SECONDS, QUARANTINED
from worker.ledger.stack_ledger import StackLedger
from worker.settings import Settings
from worker.store.store import ObjectInfo, Source, Store
from worker.uploads.job import short_id
from worker.uploads.listing import group_by_key

_LEASE_PAUSE = 0.5  # seconds between two attempts to lease a key
# How long a command waits for a lease: abandoned ones have ended by then.
_LEASE_WAIT = LEASE_SECONDS + 5


class JobChanges:
    """Retries and drops recorded jobs.

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
        """Put an upload back into its input bucket: from quarantine, or if done from the archive.

        A quarantined copy stays until a worker has recorded the upload as done, an archived one for
        good.

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

    def _retry(self, job: dict[str, Any]) -> None:
        self._check(job, QUARANTINED, DONE)
        bucket, key = self._input(job), job["key"]
        there = self._head(bucket, key)
        if there and self._is_put_back(bucket, key, there, job["id"]):
            self._ledger.retry(job["id"])  # a database that was restored may not know it
            return
        if there and not self._is_versioned(bucket):
            raise JobRefused(
                f"an upload of the key waits in {bucket}, which keeps no versions; wait until it "
                "is processed, or delete it"
            )
        self._check_waiting(there, bucket, job)
        kept = self._kept(job)
        # After the look at the bucket: a retry that a worker has ended meanwhile is recorded.
        if not self._ledger.retry(job["id"]):
            self._check(self._job(job["id"]), QUARANTINED, DONE)
            raise JobRefused("it was changed meanwhile; try again")
        try:
            self._store.copy(kept, bucket, key, quarantine.MEDIA_TYPE, {RETRY: job["id"]})
        except ObjectMissing:
            self._check(self._job(job["id"]), QUARANTINED, DONE)
            raise self._not_kept(job) from None

    def _drop(self, job: dict[str, Any]) -> None:
        self._check(job, QUARANTINED)
        with self._leased(job) as fence:
            if job["pipeline"] in self._settings.pipelines:
                bucket = self._input(job)
                self._check_waiting(self._head(bucket, job["key"]), bucket, job)
            # After the look at the bucket: a retry that a worker has ended is recorded.
            job = self._job(job["id"])
            self._check(job, QUARANTINED)
            if not job["shares_copy"]:
                where = (job["pipeline"], job["key"], job["sha256"])
                quarantine.remove(self._store, self._settings.store.quarantine, *where)
            if not self._ledger.drop(job["id"], fence):
                raise JobRefused("a machine or another command took its key over; try again")

    @contextmanager
    def _leased(self, job: dict[str, Any]) -> Iterator[int]:
        """Lease the job's key; an abandoned lease ends within `LEASE_SECONDS`."""
        end = time.monotonic() + _LEASE_WAIT
        holder = f"{self._settings.machine} (jobs, process {os.getpid()})"
        while True:
            with self._ledger.leased(job["id"], holder) as fence:
                if fence is not None:
                    yield fence
                    return
            if time.monotonic() > end:
                raise JobRefused(
                    "a machine or another command works on its key; try again when that has ended"
                )
            time.sleep(_LEASE_PAUSE)

    def _check(self, job: dict[str, Any], *states: str) -> None:
        """Raise JobRefused unless the job is in one of the states and nothing followed it."""
        if job["state"] not in states:
            possible = " or ".join(states)
            raise JobRefused(f"it is {job['state']}, and only {possible} jobs can be")
        if job["retried_by"]:
            again, state = short_id(job["retried_by"]), job["retried_as"]
            remedy = f"; use {again}" if state in (QUARANTINED, job["state"]) else ""
            raise JobRefused(f"job {again} repeated it and is {state}{remedy}")
        if job["newer_done"] and not self._force:
            raise JobRefused(
                f"a newer upload of the key is done (job {short_id(job['newer_done'])}); "
                "--force does it nevertheless"
            )

    def _check_waiting(self, there: ObjectInfo | None, bucket: str, job: dict[str, Any]) -> None:
        if there and not self._force:
            is_own = there.metadata.get(RETRY) == job["id"]
            what = "it was put back and" if is_own else "an upload of the key"
            raise JobRefused(
                f"{what} waits in {bucket}; wait until it is processed, or give --force"
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
        pages = self._store.list_pages(bucket, versions=True, prefix=key)
        versions = [
            upload.version_id
            for work in group_by_key(bucket, pages)
            if work.key == key
            for upload in work.uploads
        ]
        heads = (self._head(bucket, key, version) for version in versions)
        return any(head.metadata.get(RETRY) == own_id for head in heads if head)

    def _kept(self, job: dict[str, Any]) -> Source:
        """Return the stored input of a job."""
        buckets, where = self._settings.store, (job["pipeline"], job["key"], job["sha256"])
        bucket = buckets.quarantine if job["state"] == QUARANTINED else buckets.archive
        if bucket:
            for stored in quarantine.possible_keys(*where):
                if found := self._head(bucket, stored):
                    return Source(bucket, stored, "", found.etag)
        raise self._not_kept(job)

    def _not_kept(self, job: dict[str, Any]) -> JobRefused:
        if job["state"] == QUARANTINED:
            bucket = self._settings.store.quarantine
            return JobRefused(
                f"its copy is no longer in {bucket}; upload the file again, or drop the job"
            )
        return JobRefused("its input was not kept (setting keepInputs); upload the file again")


def _sentence(row: dict[str, Any], what: str, problem: str) -> str:
    named = f"Job {short_id(row['id'])} ({row['key']!r})"
    return f"{named} was not {what}: {problem.rstrip('.')}."
