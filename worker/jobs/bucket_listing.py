"""Listings of a pipeline's input bucket, in chunks."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import islice

from worker.jobs.context import Context
from worker.jobs.gather import Gatherer
from worker.uploads.listing import KeyUploads, ListPage, group_by_key


class BucketListing:
    """Lists the input bucket; the files of runs that have ended are put there first.

    Args:
        context: What all jobs share.
    """

    def __init__(self, context: Context) -> None:
        self._context, self._bucket = context, context.pipeline.input
        self._gatherer: Gatherer | None = None
        if context.upstream and context.requests:
            self._gatherer = Gatherer(context, context.upstream, context.requests)
        self._buckets_checked = False

    @property
    def problem(self) -> str | None:
        """Why the file of a run could not be put, if it could not."""
        return self._gatherer.problem if self._gatherer else None

    def chunks(self, size: int, listed: Callable[[], None]) -> Iterator[list[KeyUploads]]:
        """Yield everything that the bucket contains; one page is held in memory.

        Args:
            size: The number of keys of a chunk.
            listed: Called for each page, which may have no work.

        Yields:
            The work for some keys. Before the first, the buckets that jobs write to are checked.

        Raises:
            ServiceUnavailable: The store or the database cannot be used.
        """  # noqa: DOC502  raised by store and ledger
        if self._gatherer:
            self._gatherer.gather()
        pages = self._context.store.list_pages(self._bucket, versions=self._is_versioned)
        pages = _noted(pages, listed)
        works = group_by_key(self._bucket, pages, self._context.pipeline.ignore)
        while chunk := list(islice(works, size)):
            self._check_buckets()
            yield self._gatherer.with_sizes(chunk) if self._gatherer else chunk

    @cached_property
    def _is_versioned(self) -> bool:
        return self._context.store.is_versioned(self._bucket)

    def _check_buckets(self) -> None:
        if not self._buckets_checked:
            for bucket in self._context.buckets:
                self._context.store.check_bucket(bucket)
            self._buckets_checked = True


def _noted(pages: Iterable[ListPage], listed: Callable[[], None]) -> Iterator[ListPage]:
    for page in pages:
        listed()
        yield page
