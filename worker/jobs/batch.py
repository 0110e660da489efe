"""The jobs of a batch: fetch, transform and publish each upload, then record.

Recorded uploads are deleted afterwards (deleter.py). In this order nothing is lost or done twice if
the worker is killed at any moment.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from worker.errors import (
    LeaseLost,
    ObjectMissing,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.jobs.chain import ResultMissing, copy_to_readers
from worker.jobs.context import Context
from worker.jobs.fetch import Fetched, fetch, identify
from worker.jobs.lease_keeper import LeaseKeeper
from worker.jobs.publish import keep_input, publish, quarantine_file
from worker.jobs.recorded import Recorded
from worker.jobs.task import Task
from worker.jobs.transform import Rejection, transform
from worker.ledger.ledger import DONE, QUARANTINED, Result
from worker.ledger.runs import Gather
from worker.uploads.job import Job
from worker.uploads.upload import Upload

# Stored outputs wait this long for others of the batch, to share a statement.
_SETTLE_SECONDS = 1
# Bytes of a batch's uploads that are kept in memory instead of in files, at most.
_BATCH_MEMORY = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """How the uploads of a batch ended.

    Attributes:
        results: The rows that were written.
        recorded: Uploads to delete: they have a row now, had one before, or are a further copy of
            a result. Their keys stay leased.
        missing: Uploads that were deleted or replaced before they were read.
        held: Uploads whose keys other machines have leased; they were not processed.
        suspects: Uploads whose last attempt did not end, and the crashes counted for each. They
            were not tried, since they must run alone.
        failures: Uploads that were not processed, with the reasons.
    """

    results: list[Result] = field(default_factory=list)
    recorded: list[Recorded] = field(default_factory=list)
    missing: list[Upload] = field(default_factory=list)
    held: list[Upload] = field(default_factory=list)
    suspects: dict[Upload, int] = field(default_factory=dict)
    failures: dict[Upload, UploadDeferred | TransformCrashed] = field(default_factory=dict)


def process_batch(
    context: Context,
    keeper: LeaseKeeper,
    uploads: Sequence[Upload],
    crashes: Mapping[Upload, int] | None = None,
) -> Outcome:
    """Process uploads, each of another key.

    Args:
        context: What all jobs share.
        keeper: Keeps the leases.
        uploads: The uploads, as they were listed.
        crashes: If the batch runs alone, the crashes counted so far for each upload; None if other
            batches run at the same time.

    Returns:
        How they ended.

    Raises:
        ServiceUnavailable: The store, the database or the sandbox cannot be used.
        PassInterrupted: The pass was stopped.
        OSError: The folder cannot be used.
    """  # noqa: DOC502  raised by the steps
    return _Batch(context, keeper, crashes).run(uploads)


class _Batch:
    def __init__(
        self, context: Context, keeper: LeaseKeeper, crashes: Mapping[Upload, int] | None
    ) -> None:
        self._context, self._keeper, self._crashes = context, keeper, crashes
        self._stored: list[tuple[Task, Result]] = []  # outputs without a row
        self._prepared: set[str] = set()  # ids of jobs: other machines may continue them
        self._unnamed: set[str] = set()  # keys whose results may be stored and in no row
        self._outcome = Outcome()
        self._is_done = False

    def run(self, uploads: Sequence[Upload]) -> Outcome:
        with TemporaryDirectory(dir=self._context.folder) as folder:
            tasks = self._start(self._fetch_all(uploads, Path(folder)))
            try:
                self._process_all(tasks)
                self._is_done = True
            except (ServiceUnavailable, PassInterrupted):
                if self._crashes is None:  # an upload that runs alone keeps its count
                    self._clear(tasks)
                raise
            finally:
                kept = {one.upload for one in self._outcome.recorded} if self._is_done else ()
                uploads = [task.job.upload for task in tasks]
                keys = [one.key for one in uploads if one not in kept]
                self._keeper.release(keys, abandoned=self._unnamed)
        return self._outcome

    def _fetch_all(self, uploads: Sequence[Upload], folder: Path) -> list[Fetched]:
        fetched, memory = list[Fetched](), _BATCH_MEMORY
        store = self._context.store
        for number, upload in enumerate(uploads):
            try:
                path, space = folder / f"{number}.in", self._context.space()
                source = fetch(store, space, upload, path, memory)
                memory -= len(source.content or b"")
                fetched.append(source)
            except ObjectMissing:
                self._outcome.missing.append(upload)
            except UploadDeferred as error:
                self._outcome.failures[upload] = error
        return fetched

    def _start(self, fetched: list[Fetched]) -> list[Task]:
        ledger, pipeline = self._context.ledger, self._context.pipeline
        jobs = identify(ledger, pipeline.name, pipeline.sources, fetched)
        chosen: dict[object, Fetched] = {}
        for source in fetched:
            job, is_superfluous = jobs[source.upload]
            origin = job.id if is_superfluous else job.parent or job.id
            if chosen.setdefault(origin, source) is not source:
                # A copy of the same result under another key: superfluous once this one has a row.
                self._outcome.held.append(source.upload)
        now = time.monotonic()
        alone = self._crashes is not None
        to_start = [jobs[one.upload][0] for one in chosen.values()]
        started, gathers = ledger.start(to_start, alone=alone), self._gathers(to_start)
        tasks = []
        for source in chosen.values():
            job, is_superfluous = jobs[source.upload]
            if job.id in started:
                check = partial(self._check_lease, job.upload.key)
                gather = gathers.get(job.parent.job_id) if job.parent else None
                task = Task(source, job, started[job.id], is_superfluous, check, gather)
                tasks.append(task)
            else:
                self._outcome.held.append(source.upload)
        self._keeper.keep((task.lease for task in tasks), now)
        return tasks

    def _gathers(self, jobs: Sequence[Job]) -> dict[str, Gather]:
        """Return what jobs gather, by the ids of their parents."""
        if not self._context.pipeline.gather:
            return {}
        ids = [job.parent.job_id for job in jobs if job.parent]
        return self._context.ledger.gathers(ids) if ids else {}

    def _check_lease(self, key: str) -> None:
        if key not in self._keeper.held([key]):
            raise LeaseLost(f"{key!r} was taken over by another machine.")

    def _process_all(self, tasks: list[Task]) -> None:
        since = time.monotonic()
        for task in tasks:
            crashes = task.started.crashes
            if crashes is not None and self._crashes is None and not task.started.recorded:
                self._outcome.suspects[task.job.upload] = crashes
                continue
            start = time.monotonic()
            if self._stored and start - since > _SETTLE_SECONDS:
                self._settle()
                since = start
            if task.is_superfluous or task.started.recorded:
                recorded = _recorded(task, task.started.recorded, is_superfluous=True)
                self._outcome.recorded.append(recorded)
                continue
            try:
                begun = replace(task, began=start)
                result = task.started.prepared or self._make(begun)
                if result.outcome == DONE and self._context.readers:
                    result = self._chain(task, result)
                if self._context.pipeline.keep_inputs and result.outcome == DONE:
                    keep_input(self._context, task.source)
            except (ServiceUnavailable, PassInterrupted, OSError):
                raise
            except LeaseLost:
                self._outcome.held.append(task.job.upload)
                continue
            except ObjectMissing:  # the source of a copy
                self._outcome.missing.append(task.job.upload)
                self._clear([task])
                continue
            except Exception as error:  # noqa: BLE001  one upload must not affect the others
                self._fail(task, error)
                continue
            self._stored.append((task, result))
        self._settle()

    def _make(self, task: Task) -> Result:
        """Transform the upload, and store its results or the upload itself."""
        context, upload = self._context, task.job.upload
        crashes = None if self._crashes is None else self._crashes.get(upload, 0)
        made = transform(context, task, crashes)
        if isinstance(made, Rejection):
            result: Result | Rejection = made
        else:
            self._unnamed.add(upload.key)
            result = publish(context, task, made)
        if isinstance(result, Rejection):
            result = quarantine_file(context, task, result)
        return replace(result, seconds=task.seconds())

    def _chain(self, task: Task, result: Result) -> Result:
        """Prepare a result, and copy it to the readers."""
        if not (task.started.prepared or self._context.ledger.prepare(result)):
            return result  # the lease is lost: its row will be refused, too
        self._prepared.add(task.job.id)
        self._unnamed.discard(task.job.upload.key)
        try:
            copy_to_readers(self._context, result, task.check_lease)
        except ResultMissing as error:
            rejection = Rejection(str(error))
            quarantine_file(self._context, task, rejection)
            return replace(result, outcome=QUARANTINED, reason=rejection.reason)
        return result

    def _fail(self, task: Task, error: Exception) -> None:
        if not isinstance(error, UploadDeferred | TransformCrashed):
            error = UploadDeferred(f"{type(error).__name__}: {error}")
        self._outcome.failures[task.job.upload] = error

    def _clear(self, tasks: Iterable[Task]) -> None:
        """Remove the attempts of uploads that did not crash."""
        failures = self._outcome.failures
        uploads = [task.job.upload for task in tasks]
        cleared = [one for one in uploads if not isinstance(failures.get(one), TransformCrashed)]
        with suppress(ServiceUnavailable):
            self._context.ledger.clear_attempts(cleared, keep_undeletable=True)

    def _settle(self) -> None:
        """Write the rows of the uploads whose outputs are stored."""
        now = time.monotonic()
        recorded = self._context.ledger.record([result for _, result in self._stored])
        for task, result in self._stored:
            if task.job.id in recorded:
                self._outcome.results.append(result)
                self._outcome.recorded.append(_recorded(task, result.outcome))
                self._unnamed.discard(task.job.upload.key)
                self._keeper.extend([task.lease], now)
            else:
                self._abandon(task, result)
        self._stored = []

    def _abandon(self, task: Task, result: Result) -> None:
        """Give up a job whose lease was lost, and delete the versions that only it stored."""
        self._outcome.held.append(task.job.upload)
        is_prepared = task.started.prepared or task.job.id in self._prepared
        written = [] if is_prepared else result.outputs
        versions = [(output.key, output.version_id) for output in written if output.version_id]
        if versions:
            self._context.store.delete_versions(self._context.pipeline.output, versions)


def _recorded(task: Task, outcome: str | None, *, is_superfluous: bool = False) -> Recorded:
    source = task.source
    is_retried = task.job.retry_of is not None and outcome == DONE
    return Recorded(
        source.upload, source.info, source.sha256 if is_retried else None, is_superfluous
    )
