"""Which uploads are processed together: they share statements and requests."""

from collections.abc import Iterable, Iterator
from itertools import islice

from worker.uploads.listing import KeyUploads

#: Uploads per batch. If the worker dies, the uploads of its batches run alone afterwards.
BATCH_UPLOADS = 8
BATCH_BYTES = 16 << 20


def batches(works: Iterable[KeyUploads], threads: int) -> Iterator[list[KeyUploads]]:
    """Put single uploads of different keys together.

    Args:
        works: The work, in the order of the listing; `threads * BATCH_UPLOADS` keys are read ahead.
        threads: How many batches are processed at a time: none of them should be left idle.

    Yields:
        Batches. A key with several uploads, and an upload larger than BATCH_BYTES, are alone.
    """
    works = iter(works)
    while ahead := list(islice(works, threads * BATCH_UPLOADS)):
        most, batch, size = -(-len(ahead) // threads), list[KeyUploads](), 0
        for work in ahead:
            if not work.is_single:
                yield [work]
                continue
            size += work.uploads[0].size
            if batch and (len(batch) == most or size > BATCH_BYTES):
                yield batch
                batch, size = [], work.uploads[0].size
            batch.append(work)
        if batch:
            yield batch
