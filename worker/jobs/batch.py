"""The jobs of a batch: fetch, transform and publish each upload, then record, then delete.

In this order nothing is lost or doubled if the worker is killed at any moment.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from worker.errors import (
    ObjectMissing,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.jobs.deletion import delete_uploads
from worker.jobs.steps import (
    Context,
    Fetched,
    Transformed,
    fetch,
    publish,
    quarantine_file,
    transform,
)
from worker.ledger.ledger import Lease, Result
from worker.uploads.job import first_job
from worker.uploads.upload import Upload

# Stored outputs wait this long for others of the batch, to share a statement and a request.
_SETTLE_SECONDS = 1


@dataclass(frozen=True)
class Outcome:
    """How the uploads of a batch ended.

    Attributes:
        results: The rows that were written.
        missing: Uploads that were deleted or replaced before they were read.
        replaced: Uploads that were processed, and deleted or replaced meanwhile.
        failures: Uploads that are still there, with the reasons.
    """

    results: list[Result] = field(default_factory=list)
    missing: list[Upload] = field(default_factory=list)
    replaced: list[Upload] = field(default_factory=list)
    failures: dict[Upload, UploadDeferred | TransformCrashed] = field(default_factory=dict)


def process_batch(
    context: Context, uploads: Sequence[Upload], crashes: Mapping[Upload, int] | None = None
) -> Outcome:
    """Process uploads, each of another key.

    Args:
        context: What all jobs share.
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
    return _Batch(context, crashes).run(uploads)


class _Batch:
    def __init__(self, context: Context, crashes: Mapping[Upload, int] | None) -> None:
        self._context, self._crashes = context, crashes
        self._stored: list[tuple[Fetched, Result]] = []  # outputs without a row
        self._outcome = Outcome()

    def run(self, uploads: Sequence[Upload]) -> Outcome:
        with TemporaryDirectory(dir=self._context.folder) as folder:
            fetched = self._fetch_all(uploads, Path(folder))
            alone = self._crashes is not None
            name = self._context.pipeline.name
            self._jobs = {one.upload: first_job(name, one.upload) for one in fetched}
            self._started = self._context.ledger.start(list(self._jobs.values()), alone=alone)
            try:
                self._process_all(fetched)
            except (ServiceUnavailable, PassInterrupted):
                if not alone:  # an upload that runs alone keeps its count
                    self._clear(
                        [one for one in fetched if one.upload not in self._outcome.failures]
                    )
                raise
            finally:
                keys = {job.id: job.upload.key for job in self._jobs.values()}
                self._context.ledger.release(
                    [Lease(keys[own_id], one.fence) for own_id, one in self._started.items()]
                )
        return self._outcome

    def _fetch_all(self, uploads: Sequence[Upload], folder: Path) -> list[Fetched]:
        fetched = []
        for number, upload in enumerate(uploads):
            try:
                fetched.append(fetch(self._context.store, upload, folder / f"{number}.in"))
            except ObjectMissing:
                self._outcome.missing.append(upload)
            except UploadDeferred as error:
                self._outcome.failures[upload] = error
        return fetched

    def _process_all(self, fetched: list[Fetched]) -> None:
        since = time.monotonic()
        for source in fetched:
            start = time.monotonic()
            if self._stored and start - since > _SETTLE_SECONDS:
                self._settle()
                since = start
            try:
                result = self._process(source)
            except (ServiceUnavailable, PassInterrupted, OSError):
                raise
            except Exception as error:  # noqa: BLE001  one upload must not affect the others
                self._fail(source, error)
                continue
            seconds = round(source.seconds + time.monotonic() - start, 3)
            self._stored.append((source, replace(result, seconds=seconds)))
        self._settle()

    def _process(self, source: Fetched) -> Result:
        crashes = None if self._crashes is None else self._crashes.get(source.upload, 0)
        job = self._jobs[source.upload]
        started = self._started[job.id]
        result = transform(self._context, source, job, crashes)
        if isinstance(result, Transformed):
            return publish(self._context, source, job, started, result)
        return quarantine_file(self._context, source, job, started, result)

    def _fail(self, source: Fetched, error: Exception) -> None:
        if not isinstance(error, UploadDeferred | TransformCrashed):
            error = UploadDeferred(f"{type(error).__name__}: {error}")
        self._outcome.failures[source.upload] = error
        if self._crashes is None and not isinstance(error, TransformCrashed):
            self._clear([source])

    def _clear(self, fetched: list[Fetched]) -> None:
        with suppress(ServiceUnavailable):
            self._context.ledger.clear_attempts([one.upload for one in fetched])

    def _settle(self) -> None:
        """Write the rows of the uploads whose outputs are stored, then delete the uploads."""
        results = [result for _, result in self._stored]
        self._context.ledger.record(results)
        self._outcome.results.extend(results)
        infos = {source.upload: source.info for source, _ in self._stored}
        deletion = delete_uploads(self._context.store, infos)
        self._outcome.replaced.extend(deletion.missing)
        self._outcome.failures.update(deletion.failures)
        self._stored = []
