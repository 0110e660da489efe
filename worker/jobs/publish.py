"""The third step of a job: store what was made, or the file that could not be transformed."""

import hashlib
from dataclasses import replace

from worker.errors import DeletionRefused, InvalidInput, ObjectMissing, TransformCrashed
from worker.jobs import quarantine
from worker.jobs.context import Context
from worker.jobs.fetch import Fetched, upload_token
from worker.jobs.result_metadata import result_metadata
from worker.jobs.sweep import delete_others
from worker.jobs.task import Task
from worker.jobs.transform import Rejection
from worker.ledger.ledger import DONE, QUARANTINED, Output, OutputVersion, Result
from worker.store.store import Source, contents_of, hash_bytes
from worker.transforms import Produced
from worker.transforms.output_keys import output_keys
from worker.uploads.upload import fits_key

_MAX_TEXT_BYTES = 16 << 10  # of inputs and logs that are kept in the database
# Other objects may consist of the same segments, so they are not deleted.
_SEGMENTS_REMAIN = "segments of Swift's remain"


def publish(context: Context, task: Task, produced: Produced) -> Result | Rejection:
    """Store all results in the output bucket.

    Args:
        context: What all jobs share.
        task: The job.
        produced: What the transform made.

    Returns:
        The row for the ledger, or the reason to quarantine the file.

    Raises:
        LeaseLost: Another machine may have leased the key.
        UploadDeferred: A result was not stored, or further versions of it could not be deleted.
    """  # noqa: DOC502  raised by check_lease and the store
    try:
        types = [content_type for _, content_type in produced.results]
        keys = output_keys(context.output_key, task.key, types, task.job.run_id)
    except InvalidInput as error:
        return Rejection(str(error))
    prefixes = ["", *(reader.prefix for reader in context.readers)]
    if not all(fits_key(prefix + key) for prefix in prefixes for key in keys):
        return Rejection("key too long")
    outputs = []
    results = zip(keys, produced.results, strict=True)
    for number, (key, (body, content_type)) in enumerate(results, 1):
        contents = contents_of(body)
        metadata = result_metadata(
            task,
            context.pipeline.name,
            context.maker,
            context.machine,
            number=number,
            sha256=contents.sha256,
        )
        bucket = context.pipeline.output
        task.check_lease()
        stored = context.store.put(bucket, key, contents, content_type, metadata)
        if stored.was_repeated:
            _delete_repetitions(context, task, OutputVersion(bucket, key, stored.version_id))
        where = (number, bucket, key, stored.version_id, stored.etag)
        outputs.append(Output(*where, contents.sha256, contents.size, content_type))
    return replace(
        _result(context, task, DONE),
        outputs=outputs,
        records=produced.records,
        notes=[*produced.notes, *([_SEGMENTS_REMAIN] if task.source.info.is_manifest else [])],
        log=_kept_log(produced.log),
    )


def _delete_repetitions(context: Context, task: Task, output: OutputVersion) -> None:
    """Delete further versions of a result whose PUT was carried out more than once."""
    if not output.version_id or context.pipeline.output_adopted:
        return
    failures = delete_others(context.store, task.job.id, task.started.fence, output)
    for error in failures.values():
        if not isinstance(error, DeletionRefused):  # a locked version stays
            raise error


def quarantine_file(context: Context, task: Task, rejection: Rejection) -> Result:
    """Store a file and a note in the quarantine bucket.

    Returns:
        The row for the ledger.

    Raises:
        LeaseLost: Another machine may have leased the key.
    """  # noqa: DOC502  raised by check_lease
    source = task.source
    result = replace(
        _result(context, task, QUARANTINED),
        reason=rejection.reason,
        log=_kept_log(rejection.log),
    )
    name = context.pipeline.name
    key = quarantine.storage_key(name, source.upload.key, source.sha256)
    task.check_lease()
    _store_input(context, source, context.quarantine, key)
    note = hash_bytes(quarantine.note(result, name, context.machine))
    context.store.put(context.quarantine, quarantine.note_key(key), note, "application/json", {})
    return result


def _result(context: Context, task: Task, outcome: str) -> Result:
    source, started = task.source, task.started
    return Result(
        task.job,
        started.fence,
        context.maker,
        source.sha256,
        source.info.size,
        outcome,
        task.seconds(),
        started.attempts,
        input_text=_input_text(context, task),
        upload_token=upload_token(source.info.metadata),
    )


def _kept_log(log: str) -> str | None:
    """Return the end of what a transform printed, None if it printed nothing."""
    return log.encode(errors="replace")[-_MAX_TEXT_BYTES:].decode(errors="ignore") or None


def _input_text(context: Context, task: Task) -> str | None:
    """Return the input of a run's first job if it is a small text: often it configures the run."""
    source, pipeline = task.source, context.pipeline
    if task.job.parent or not pipeline.readers or source.info.size > _MAX_TEXT_BYTES:
        return None
    content = source.path.read_bytes() if source.content is None else source.content
    if hashlib.sha256(content).hexdigest() != source.sha256:  # changed by the transform's process
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def keep_input(context: Context, source: Fetched) -> None:
    """Copy the input into the archive bucket, so that it can be processed again."""
    key = quarantine.storage_key(context.pipeline.name, source.upload.key, source.sha256)
    if source.info.is_manifest:
        _store_input(context, source, context.archive, key)
        return
    try:
        _copy_input(context, source, context.archive, key)
    except ObjectMissing:  # replaced or deleted meanwhile
        _store_input(context, source, context.archive, key)


def _store_input(context: Context, source: Fetched, bucket: str, key: str) -> None:
    if source.excess:
        _copy_input(context, source, bucket, key)
        return
    file = contents_of(source.body)
    if file.sha256 != source.sha256:
        raise TransformCrashed("its process changed its input")
    context.store.put(bucket, key, file, quarantine.MEDIA_TYPE, {"sha256": file.sha256})


def _copy_input(context: Context, source: Fetched, bucket: str, key: str) -> None:
    upload = source.upload
    original = Source(upload.bucket, upload.key, upload.version_id, source.info.etag)
    context.store.copy(original, bucket, key, quarantine.MEDIA_TYPE, {"sha256": source.sha256})
