"""Gathers: the file of a run that has ended is put into the input bucket of the pipeline that does.

From there on the file is an upload like any other; the job on it reads the results that the
ledger's row names.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from worker.errors import UploadDeferred
from worker.jobs.context import Context
from worker.jobs.fetch import NUMBER, PARENT, RUN
from worker.jobs.request_threads import RequestThreads
from worker.jobs.run_progress import gather_of, obstacles
from worker.ledger.ledger import LEASE_SECONDS
from worker.ledger.runs import Gather, Upstream, manifest_key, run_of_manifest
from worker.store.store import hash_file
from worker.uploads.listing import KeyUploads

# A row becomes visible when its statement ends, at most 30 seconds after the time that it carries.
_MARGIN_SECONDS = 60
_TAKE_OVER_SECONDS = LEASE_SECONDS / 3


class Gatherer:
    """Looks for runs that have ended; used by the thread that lists.

    Killed at any moment, it or another machine continues: the row is there before the file, and a
    second file of a run is deleted without a job.

    Args:
        context: What all jobs share.
        upstream: What is upstream of its pipeline.
        requests: Puts the files.
    """

    def __init__(self, context: Context, upstream: Upstream, requests: RequestThreads) -> None:
        self._context, self._upstream, self._requests = context, upstream, requests
        self._looked: float | None = None
        self._took_over: float | None = None
        self._bytes: dict[str, int] = {}  # of the members, by run
        self.problem: str | None = None

    def gather(self) -> None:
        """Put the files of ended runs into the input bucket.

        Raises:
            ServiceUnavailable: The store or the database cannot be used.
        """  # noqa: DOC502  raised by store and ledger
        ledger, now = self._context.ledger, time.monotonic()
        if self._looked is None:
            ledger.begin_gathering()
        seconds = None if self._looked is None else now - self._looked + _MARGIN_SECONDS
        gathers = [
            gather
            for run in ledger.ended_runs(self._upstream, seconds)
            if not any(obstacles(run, self._upstream))
            and (gather := gather_of(run, self._upstream)).members
        ]
        is_late = self._took_over is None or now - self._took_over > _TAKE_OVER_SECONDS
        if gathers or is_late:
            self._store(ledger.gather(gathers))
            self._took_over = now
        self._looked = now

    def with_sizes(self, works: Sequence[KeyUploads]) -> list[KeyUploads]:
        """Add to the work for runs' files the bytes that they gather."""
        runs = {work.key: run_of_manifest(work.key) for work in works}
        unknown = [run for run in runs.values() if run not in self._bytes]
        if unknown:
            self._bytes |= self._context.ledger.gathered_bytes(unknown)
        return [replace(work, gathered=self._bytes.get(runs[work.key], 0)) for work in works]

    def _store(self, gathers: Sequence[Gather]) -> None:
        problems = self._requests.make([partial(self._put, gather) for gather in gathers])
        stored = [one for one, problem in zip(gathers, problems, strict=True) if problem is None]
        if stored:
            self._context.ledger.note_gathered(stored)
        self.problem = next((one for one in problems if one is not None), None)

    def _put(self, gather: Gather) -> str | None:
        """Put a run's file; return why that failed, if it did."""
        path = self._context.folder / f"{gather.id}.gather"
        path.write_text(gather.manifest)
        metadata = {RUN: gather.run, PARENT: gather.id, NUMBER: "1"}
        bucket, key = self._context.pipeline.input, manifest_key(gather.run)
        try:
            self._context.store.put(bucket, key, hash_file(path), "application/json", metadata)
        except UploadDeferred as error:
            return str(error)
        finally:
            path.unlink()
        return None
