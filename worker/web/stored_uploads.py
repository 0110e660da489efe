"""The objects in an input bucket that may be a file that came over HTTP."""

from collections.abc import Iterator
from itertools import takewhile

from worker.errors import ObjectMissing
from worker.jobs.fetch import UPLOAD
from worker.store.store import Store
from worker.uploads.listing import group_by_key


def stored_uploads(store: Store, bucket: str, key: str, size: int) -> Iterator[tuple[str, str]]:
    """Yield what is stored under a key.

    Args:
        store: The object store.
        bucket: The input bucket.
        key: The object key.
        size: In bytes; others are left out.

    Yields:
        The version id of each object, and the token in its metadata, "" if it has none.

    Raises:
        PipelineError: The store cannot be asked.
    """  # noqa: DOC502  raised by the store
    pages = store.list_pages(bucket, versions=store.is_versioned(bucket), prefix=key)
    # Keys that begin with this one follow it, and there may be many.
    works = takewhile(lambda work: work.key == key, group_by_key(bucket, pages))
    for upload in (one for work in works for one in work.uploads if one.size == size):
        try:
            info = store.head(bucket, upload.key, upload.version_id)
        except ObjectMissing:
            continue
        yield upload.version_id, info.metadata.get(UPLOAD, "")
