"""The fourth step of a job with readers: copy its results into the readers' input buckets.

The copies are made from the versions that `outputs` rows name. After a crash they are made again
from the same versions: the reader deletes a further copy of a result that already has a job.
"""

from collections.abc import Callable

from worker.errors import ObjectMissing, PipelineError, UploadDeferred
from worker.jobs.context import Context, Reader
from worker.jobs.fetch import NUMBER, PARENT, RUN
from worker.ledger.ledger import Output, Result
from worker.store.store import Source, Store


class ResultMissing(PipelineError):
    """A stored result was deleted or replaced before its readers got a copy."""


def copy_to_readers(context: Context, result: Result, check_lease: Callable[[], None]) -> None:
    """Copy every result to every reader; existing copies are kept.

    Args:
        context: What all jobs share.
        result: A result that the ledger has prepared.
        check_lease: Raises LeaseLost if another machine may have leased the key: it may have
            copied results of newer uploads already.

    Raises:
        UploadDeferred: A copy must wait, or could not be made.
        ResultMissing: A result no longer exists.
    """  # noqa: DOC502  raised by _copy
    for reader in context.readers:
        for output in result.outputs:
            _copy(context, reader, result, output, check_lease)


def _copy(
    context: Context,
    reader: Reader,
    result: Result,
    output: Output,
    check_lease: Callable[[], None],
) -> None:
    key = reader.prefix + output.key
    metadata = {RUN: result.job.run_id, PARENT: result.job.id, NUMBER: str(output.number)}
    if not context.is_versioned(reader.bucket) and _is_there(context, reader, key, metadata):
        return
    source = Source(output.bucket, output.key, output.version_id, output.etag)
    check_lease()
    try:
        context.store.copy(source, reader.bucket, key, output.content_type, metadata)
    except ObjectMissing:
        if is_listed(context.store, source):
            raise UploadDeferred(
                f"The store lists the result {output.key!r}, but does not find it."
            ) from None
        raise ResultMissing(
            f"its result {output.key!r} was deleted or replaced before the pipeline "
            f"{reader.name!r} got a copy"
        ) from None


def is_listed(store: Store, source: Source) -> bool:
    """Return whether a listing shows an object: a store may respond wrongly for a moment."""
    versions = bool(source.version_id)
    pages = store.list_pages(source.bucket, versions=versions, prefix=source.key)
    wanted = (source.key, source.version_id, source.etag)
    return any(
        (one.key, one.version_id, one.etag) == wanted for page in pages for one in page.versions
    )


def _is_there(context: Context, reader: Reader, key: str, metadata: dict[str, str]) -> bool:
    """Return whether the copy exists; without versions it must not replace another object.

    Raises:
        UploadDeferred: There is another object under its key.
    """
    try:
        found = context.store.head(reader.bucket, key)
    except ObjectMissing:
        return False
    if all(found.metadata.get(name) == value for name, value in metadata.items()):
        return True
    raise UploadDeferred(
        f"{key!r} waits until the pipeline {reader.name!r} has read another object of this name."
    )
