"""The steps of a job: fetch, transform, and publish or quarantine. Each may be repeated.

batch.py puts them in order and records and deletes afterwards.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from worker.errors import (
    InvalidInput,
    ObjectMissing,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.jobs import quarantine
from worker.ledger.ledger import DONE, QUARANTINED, Ledger, Maker, Output, Result, Started
from worker.sandbox.pool import TransformPool
from worker.settings import Pipeline
from worker.store.store import FileContents, ObjectInfo, Store, hash_file
from worker.uploads.job import Job
from worker.uploads.upload import MAX_PUT_BYTES, Upload, fits_key

#: Crashes of a file that ran alone, after which it is quarantined.
MAX_CRASHES = 3


@dataclass(frozen=True)
class Context:
    """What all jobs of a pass share.

    Attributes:
        store: The object store.
        pipeline: The pipeline's settings.
        quarantine: The bucket of uploads that cannot be transformed.
        ledger: The ledger.
        pool: What runs the transform.
        output_key: Returns a result's object key for the input's.
        machine: This machine's name.
        folder: Where files are downloaded to and transformed.
    """

    store: Store
    pipeline: Pipeline
    quarantine: str
    ledger: Ledger
    pool: TransformPool
    output_key: Callable[[str], str]
    machine: str
    folder: Path


@dataclass(frozen=True)
class Fetched:
    """An upload's file on this machine.

    Attributes:
        upload: The upload, as it was listed.
        info: What GET reported; it guards the deletion (see `delete_uploads`).
        path: The file.
        sha256: Its hash in hex.
        seconds: How long the download took.
    """

    upload: Upload
    info: ObjectInfo
    path: Path
    sha256: str
    seconds: float


@dataclass(frozen=True)
class Transformed:
    """The transform's result."""

    contents: FileContents
    content_type: str


@dataclass(frozen=True)
class Rejection:
    """Why a file is quarantined."""

    reason: str


def fetch(store: Store, upload: Upload, path: Path) -> Fetched:
    """Download an upload.

    Args:
        store: The object store.
        upload: The upload, as it was listed.
        path: The file to write.

    Returns:
        The file that was listed, whole.

    Raises:
        ObjectMissing: The upload was deleted, or replaced by another.
        UploadDeferred: It is too large, or the download failed.
    """
    if upload.size > MAX_PUT_BYTES:
        raise UploadDeferred(
            f"{upload.key!r} has {upload.size} bytes, more than 5 GiB, the limit of a single PUT: "
            "split the file or remove it."
        )
    start = time.monotonic()
    info, sha256 = store.get(upload.bucket, upload.key, upload.version_id, upload.etag, path)
    if not upload.is_pinned and info.etag != upload.etag:  # the store ignored the condition
        raise ObjectMissing(upload.key)
    if info.size != upload.size:  # a truncated response may look complete
        raise UploadDeferred(
            f"The store sent {info.size} of the {upload.size} bytes of {upload.key!r}."
        )
    return Fetched(upload, info, path, sha256, time.monotonic() - start)


def transform(context: Context, source: Fetched, crashes: int | None) -> Transformed | Rejection:
    """Transform a file whose attempt has been started in the ledger.

    Args:
        context: What all jobs share.
        source: The file.
        crashes: If the job runs alone, the crashes that the upload was counted before; None if
            others run beside it.

    Returns:
        The result, or the reason to quarantine the file.

    Raises:
        TransformCrashed: The process crashed, and the file is not yet known to be the cause.
        UploadDeferred: The transform cannot process this file on this machine yet.
        ServiceUnavailable: The machine prevents it.
        PassInterrupted: The pass was stopped.
    """
    upload, target = source.upload, source.path.with_suffix(".out")
    if not fits_key(context.output_key(upload.key)):
        return Rejection("key too long")
    if crashes is not None and crashes >= MAX_CRASHES:
        return Rejection(f"it crashed the worker or its transform {crashes} times, alone")
    try:
        content_type = context.pool.run(source.path, target)
    except InvalidInput as error:
        return Rejection(str(error))
    except TransformCrashed as error:
        if crashes is None or crashes + 1 < MAX_CRASHES:
            raise
        return Rejection(f"its transform crashed {MAX_CRASHES} times, alone: {error}")
    except (UploadDeferred, ServiceUnavailable, PassInterrupted) as error:
        if crashes is not None:
            with suppress(ServiceUnavailable):
                context.ledger.uncount_crash(upload)
        if isinstance(error, UploadDeferred):
            raise UploadDeferred(f"{upload.key!r} is deferred: {error}.") from None
        raise
    if crashes is not None:
        # If the worker is killed from here on, this file is not the cause.
        context.ledger.clear_attempts([upload])
    return Transformed(hash_file(target), content_type)


def publish(
    context: Context, source: Fetched, job: Job, started: Started, result: Transformed
) -> Result:
    """Store a result in the output bucket and return the row for the ledger."""
    key, contents, bucket = (
        context.output_key(source.upload.key),
        result.contents,
        context.pipeline.output,
    )
    hashes = {"sha256": contents.sha256, "input-sha256": source.sha256}
    context.store.put(bucket, key, contents, result.content_type, hashes)
    output = Output(
        1, bucket, key, "", contents.md5.hex(), contents.sha256, contents.size, result.content_type
    )
    return Result(
        job,
        started.fence,
        Maker(context.pipeline.transform),
        source.sha256,
        source.info.size,
        DONE,
        attempts=started.attempts,
        outputs=[output],
    )


def quarantine_file(
    context: Context, source: Fetched, job: Job, started: Started, rejection: Rejection
) -> Result:
    """Store a file and a note in the quarantine bucket and return the row for the ledger."""
    upload, bucket, reason = source.upload, context.quarantine, rejection.reason
    key = quarantine.quarantine_key(upload, source.sha256)
    # Not the file's own type: no program should open what the transform could not read.
    file = hash_file(source.path)
    context.store.put(bucket, key, file, "application/octet-stream", {"sha256": file.sha256})
    note = source.path.with_suffix(".json")
    note.write_bytes(quarantine.note(upload, source.sha256, reason, context.machine))
    file = hash_file(note)
    context.store.put(bucket, quarantine.note_key(key), file, "application/json", {})
    return Result(
        job,
        started.fence,
        Maker(context.pipeline.transform),
        source.sha256,
        source.info.size,
        QUARANTINED,
        attempts=started.attempts,
        reason=reason,
    )
