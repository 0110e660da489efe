"""Recorded uploads, until their deletion is due."""

import heapq
from dataclasses import dataclass
from itertools import count
from math import inf

from worker.store.store import ObjectInfo
from worker.uploads.upload import Upload

# Uploads that are deleted by one thread: in one request (S3 API reference, DeleteObjects), or in a
# request each.
_MAX_TOGETHER = 1000
_MAX_SEPARATE = 32


@dataclass(frozen=True)
class Recorded:
    """An upload that has a row; its key is still leased.

    Attributes:
        upload: The upload, as it was listed.
        info: What GET reported of it.
        quarantined: The SHA-256 of a quarantined copy to delete before the upload, None if there
            is none.
        is_superfluous: Whether it was recorded before, or is a further copy of a result.
    """

    upload: Upload
    info: ObjectInfo
    quarantined: str | None = None
    is_superfluous: bool = False


class DeletionQueue:
    """Recorded uploads, until their deletion is due.

    Args:
        settle: The shortest time in seconds between two requests that delete several.
    """

    def __init__(self, settle: float) -> None:
        self._settle, self._next_request = settle, -inf
        # Those that share requests, and the others: heaps by due time.
        self._together: list[tuple[float, int, Recorded]] = []
        self._separate: list[tuple[float, int, Recorded]] = []
        self._numbers = count()

    def add(self, recorded: Recorded, due: float) -> None:
        """Add an upload to delete from a time (`time.monotonic`) on."""
        heap = self._together if recorded.upload.is_pinned else self._separate
        heapq.heappush(heap, (due, next(self._numbers), recorded))

    def take(self, now: float) -> list[Recorded]:
        """Return uploads to delete now, with one request if their versions are pinned."""
        if due := _pop(self._separate, now, _MAX_SEPARATE):
            return due
        if now < self._next_request:
            return []
        if due := _pop(self._together, now, _MAX_TOGETHER):
            self._next_request = now + self._settle
        return due

    @property
    def next_due(self) -> float:
        """When `take` returns something next."""
        separate = self._separate[0][0] if self._separate else inf
        together = self._together[0][0] if self._together else inf
        return min(separate, max(together, self._next_request))

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._separate or self._together)


def _pop(heap: list[tuple[float, int, Recorded]], now: float, limit: int) -> list[Recorded]:
    due: list[Recorded] = []
    while heap and heap[0][0] <= now and len(due) < limit:
        due.append(heapq.heappop(heap)[2])
    return due
