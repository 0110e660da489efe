"""The third step of a job: store what was made, or the file that could not be transformed."""

from worker.errors import InvalidInput, ObjectMissing, TransformCrashed
from worker.jobs import quarantine
from worker.jobs.context import Context
from worker.jobs.fetch import Fetched
from worker.jobs.transform import Rejection
from worker.ledger.ledger import DONE, QUARANTINED, Output, Result, Started
from worker.store.store import Source, hash_file
from worker.transforms import Produced
from worker.transforms.output_keys import output_keys
from worker.uploads.job import Job
from worker.uploads.upload import fits_key

_OPAQUE = "application/octet-stream"
# Other objects may consist of them, and their container is not ours.
_SEGMENTS_REMAIN = "segments of Swift's remain"


def publish(
    context: Context, source: Fetched, job: Job, started: Started, produced: Produced
) -> Result | Rejection:
    """Store all results in the output bucket.

    Args:
        context: What all jobs share.
        source: The input.
        job: The job.
        started: What the ledger said when it was started.
        produced: What the transform made.

    Returns:
        The row for the ledger, or the reason to quarantine the file.
    """
    try:
        types = [content_type for _, content_type in produced.files]
        keys = output_keys(context.output_key, job.upload.key, types, job.run_id)
    except InvalidInput as error:
        return Rejection(str(error))
    prefixes = ["", *(reader.prefix for reader in context.readers)]
    if not all(fits_key(prefix + key) for prefix in prefixes for key in keys):
        return Rejection("key too long")
    outputs = []
    for number, (key, (path, content_type)) in enumerate(zip(keys, produced.files, strict=True), 1):
        contents = hash_file(path)
        hashes = {"sha256": contents.sha256, "input-sha256": source.sha256}
        bucket = context.pipeline.output
        version_id, etag = context.store.put(bucket, key, contents, content_type, hashes)
        where = (number, bucket, key, version_id, etag)
        outputs.append(Output(*where, contents.sha256, contents.size, content_type))
    return Result(
        job,
        started.fence,
        context.maker,
        source.sha256,
        source.info.size,
        DONE,
        attempts=started.attempts,
        outputs=outputs,
        records=produced.records,
        notes=[*produced.notes, *([_SEGMENTS_REMAIN] if source.info.is_manifest else [])],
    )


def quarantine_file(
    context: Context, source: Fetched, job: Job, started: Started, rejection: Rejection
) -> Result:
    """Store a file and a note in the quarantine bucket and return the row for the ledger."""
    reason = rejection.reason
    key = quarantine.storage_key(context.pipeline.name, job.upload.key, source.sha256)
    _store_input(context, source, context.quarantine, key)
    note = source.path.with_suffix(".json")
    note.write_bytes(quarantine.note(job, source.sha256, reason, context.machine))
    note_key = quarantine.note_key(key)
    context.store.put(context.quarantine, note_key, hash_file(note), "application/json", {})
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


def keep_input(context: Context, source: Fetched) -> None:
    """Copy the input into the archive bucket, so that it can be processed again."""
    name, upload = context.pipeline.name, source.upload
    key = quarantine.storage_key(name, upload.key, source.sha256)
    original = Source(upload.bucket, upload.key, upload.version_id, source.info.etag)
    if source.info.is_manifest:
        _store_input(context, source, context.archive, key)
        return
    try:
        context.store.copy(original, context.archive, key, _OPAQUE, {"sha256": source.sha256})
    except ObjectMissing:  # replaced or deleted meanwhile
        _store_input(context, source, context.archive, key)


def _store_input(context: Context, source: Fetched, bucket: str, key: str) -> None:
    # Not the file's own type: no program should open what the transform could not read.
    file = hash_file(source.path)
    if file.sha256 != source.sha256:
        raise TransformCrashed("its process changed its input")
    context.store.put(bucket, key, file, _OPAQUE, {"sha256": file.sha256})
