"""The queue of keys that wait for a thread, and the batches that it is divided into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from worker.jobs.disk import Space
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

#: Uploads per batch: they share statements, folders and wake-ups of threads. If the worker dies,
#: the uploads of its batches run alone afterwards.
BATCH_UPLOADS = 32
BATCH_BYTES = 16 << 20


class Kind(Enum):
    """Why uploads form a batch: they are tried for the first time, again, or must run alone."""

    FRESH = auto()
    RETRY = auto()
    ALONE = auto()


@dataclass(frozen=True, eq=False)
class Batch:
    """Work for one thread.

    Attributes:
        works: Single uploads of several keys, all work for one key, or the withdrawn versions of
            several keys.
        kind: Why the batch was formed.
        disk: The bytes of the disk that it needs.
        crashes: If it runs alone, the crashes that were counted for its upload before.
    """

    works: Sequence[KeyUploads]
    kind: Kind
    disk: int
    crashes: Mapping[Upload, int] | None = None


def needed(work: KeyUploads, space: Space) -> int:
    """Return the bytes of disk for a key: its uploads are processed one after another."""
    return max((space.needed(upload.size, work.gathered) for upload in work.uploads), default=0)


class WorkQueue:
    """Keys that are processed for the first time, in the order of the listing.

    Args:
        batch_uploads: The largest number of uploads of a batch.
    """

    def __init__(self, batch_uploads: int) -> None:
        self._batch_uploads = batch_uploads
        self._works: dict[str, KeyUploads] = {}

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._works)

    def __contains__(self, key: str) -> bool:
        """Return whether a key is queued."""
        return key in self._works

    @property
    def first(self) -> KeyUploads | None:
        """The key that has waited longest, None if there is none."""
        return next(iter(self._works.values()), None)

    def add(self, work: KeyUploads) -> None:
        """Append a key."""
        self._works[work.key] = work

    def take(self, shares: int, space: Space, room: float) -> Batch | None:
        """Take the next batch.

        A key with several uploads, and an upload larger than BATCH_BYTES, have a batch of their
        own. Withdrawn versions are deleted together.

        Args:
            shares: The number of threads among which the queue is divided.
            space: The disk's.
            room: The bytes of disk that running batches leave; infinite if none runs, so that an
                upload that does not fit may try.

        Returns:
            The batch, None if nothing that fits is queued.
        """
        if self.first and not self.first.uploads:
            withdrawn = [work for work in self._works.values() if not work.uploads]
            return self._batch(withdrawn, 0)
        limit = min(self._batch_uploads, -(-len(self._works) // shares))
        works, size, disk = list[KeyUploads](), 0, 0
        for work in self._works.values():
            if len(works) == limit:
                break
            disk_with = disk + needed(work, space)
            size_with = size + sum(upload.size for upload in work.uploads)
            if works and not (work.is_single and size_with <= BATCH_BYTES):
                continue
            if disk_with > (min(room, space.free) if works else room):
                continue
            works.append(work)
            size, disk = size_with, disk_with
            if not work.is_single or size > BATCH_BYTES:
                break
        return self._batch(works, disk) if works else None

    def _batch(self, works: Sequence[KeyUploads], disk: int) -> Batch:
        for work in works:
            del self._works[work.key]
        return Batch(works, Kind.FRESH, disk)


def room(batches: Sequence[Batch], space: Space) -> float:
    """Return the bytes of disk that running batches leave, infinite if there are none."""
    return space.free - sum(batch.disk for batch in batches) if batches else inf
