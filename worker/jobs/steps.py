"""The steps of a job: fetch, transform, and publish or quarantine. Each may be repeated.

batch.py puts them in order and records and deletes afterwards.
"""

import time
from collections.abc import Mapping, Sequence
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
from worker.transforms.output_keys import output_keys
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
        maker: The transform's version and parameters, as rows name them.
        output_key: The pattern of the results' keys, "" for the defaults.
        machine: This machine's name.
        folder: Where files are downloaded to and transformed.
    """

    store: Store
    pipeline: Pipeline
    quarantine: str
    ledger: Ledger
    pool: TransformPool
    maker: Maker
    output_key: str
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
    """What the transform made.

    Attributes:
        results: Each with its object key and content type.
        records: JSON objects for the database.
        notes: What was dropped or changed on purpose.
    """

    results: Sequence[tuple[str, FileContents, str]]
    records: Sequence[Mapping[str, object]]
    notes: Sequence[str]


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


def transform(
    context: Context, source: Fetched, job: Job, crashes: int | None
) -> Transformed | Rejection:
    """Transform a file whose attempt has been started in the ledger.

    Args:
        context: What all jobs share.
        source: The file.
        job: Its job.
        crashes: If the job runs alone, the crashes that the upload was counted before; None if
            others run beside it.

    Returns:
        The results, or the reason to quarantine the file.

    Raises:
        TransformCrashed: The process crashed, and the file is not yet known to be the cause.
        UploadDeferred: The transform cannot process this file on this machine yet.
        ServiceUnavailable: The machine prevents it.
        PassInterrupted: The pass was stopped.
    """
    upload, folder = source.upload, source.path.with_suffix(".out")
    if crashes is not None and crashes >= MAX_CRASHES:
        return Rejection(f"it crashed the worker or its transform {crashes} times, alone")
    try:
        folder.mkdir()
        name = upload.key.rpartition("/")[2]
        produced = context.pool.run(source.path, name, folder)
        types = [content_type for _, content_type in produced.files]
        keys = output_keys(context.output_key, upload.key, types, job.run_id)
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
    if not all(map(fits_key, keys)):
        return Rejection("key too long")
    results = [
        (key, hash_file(path), content_type)
        for key, (path, content_type) in zip(keys, produced.files, strict=True)
    ]
    return Transformed(results, produced.records, produced.notes)


def publish(
    context: Context, source: Fetched, job: Job, started: Started, result: Transformed
) -> Result:
    """Store the results in the output bucket and return the row for the ledger."""
    bucket, outputs = context.pipeline.output, []
    for number, (key, contents, content_type) in enumerate(result.results, 1):
        hashes = {"sha256": contents.sha256, "input-sha256": source.sha256}
        context.store.put(bucket, key, contents, content_type, hashes)
        etag, size = contents.md5.hex(), contents.size
        outputs.append(Output(number, bucket, key, "", etag, contents.sha256, size, content_type))
    return Result(
        job,
        started.fence,
        context.maker,
        source.sha256,
        source.info.size,
        DONE,
        attempts=started.attempts,
        outputs=outputs,
        records=result.records,
        notes=result.notes,
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
        context.maker,
        source.sha256,
        source.info.size,
        QUARANTINED,
        attempts=started.attempts,
        reason=reason,
    )
