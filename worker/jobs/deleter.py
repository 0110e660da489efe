"""The last step of a job: the deletion of its upload, together with others."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf

from worker.errors import UploadDeferred
from worker.jobs import quarantine
from worker.jobs.context import Context
from worker.jobs.deletion import delete_uploads
from worker.jobs.lease_keeper import LeaseKeeper
from worker.store.store import ObjectInfo
from worker.uploads.upload import Upload

#: S3 API reference, DeleteObjects.
_MOST_TOGETHER = 1000
#: Of those that need requests of their own.
_MOST_SEPARATE = 8


@dataclass(frozen=True)
class Recorded:
    """An upload that has a row; its key is still leased.

    Attributes:
        upload: The upload, as it was listed.
        info: What GET reported of it.
        quarantined: The SHA-256 of its copy in quarantine that must go first, None for none.
        is_superfluous: Whether it was recorded before, or is a further copy of a result.
    """

    upload: Upload
    info: ObjectInfo
    quarantined: str | None = None
    is_superfluous: bool = False


class Deletions:
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
        if due := _pop(self._separate, now, _MOST_SEPARATE):
            return due
        if now < self._next_request:
            return []
        if due := _pop(self._together, now, _MOST_TOGETHER):
            self._next_request = now + self._settle
        return due

    @property
    def next_due(self) -> float:
        """When `take` returns something."""
        separate = self._separate[0][0] if self._separate else inf
        together = self._together[0][0] if self._together else inf
        return min(separate, max(together, self._next_request))

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._separate or self._together)


def _pop(heap: list[tuple[float, int, Recorded]], now: float, most: int) -> list[Recorded]:
    found: list[Recorded] = []
    while heap and heap[0][0] <= now and len(found) < most:
        found.append(heapq.heappop(heap)[2])
    return found


@dataclass(frozen=True)
class Deleted:
    """What became of recorded uploads.

    Attributes:
        ended: Deleted now, or replaced meanwhile.
        held: Still there: another machine has taken their keys over.
        failures: Still there, with the reasons.
    """

    ended: list[Upload] = field(default_factory=list)
    held: list[Upload] = field(default_factory=list)
    failures: dict[Upload, UploadDeferred] = field(default_factory=dict)


def delete(context: Context, keeper: LeaseKeeper, recorded: Sequence[Recorded]) -> Deleted:
    """Delete uploads whose keys are still leased, and release the leases.

    Args:
        context: What all jobs share.
        keeper: Keeps the leases.
        recorded: The uploads.

    Returns:
        What became of them.

    Raises:
        ServiceUnavailable: The store or the database cannot be used.
    """  # noqa: DOC502  raised by what it calls
    deleted = Deleted()
    keys = [one.upload.key for one in recorded]
    try:
        held = keeper.held(keys)
        deleted.held.extend(one.upload for one in recorded if one.upload.key not in held)
        deletable = {}
        for one in recorded:
            if one.upload.key not in held:
                continue
            try:
                _remove_quarantined(context, one)
            except UploadDeferred as error:
                deleted.failures[one.upload] = error
            else:
                deletable[one.upload] = one.info
        deleted.failures.update(delete_uploads(context.store, deletable).failures)
        deleted.ended.extend(one for one in deletable if one not in deleted.failures)
        superfluous = {one.upload for one in recorded if one.is_superfluous}
        context.ledger.clear_attempts([one for one in deleted.ended if one in superfluous])
    finally:
        keeper.release(keys)
    return deleted


def _remove_quarantined(context: Context, recorded: Recorded) -> None:
    """Remove the quarantined copy of a retry that is done: if it stays, so must the upload."""
    if recorded.quarantined:
        name, key = context.pipeline.name, recorded.upload.key
        quarantine.remove(context.store, context.quarantine, name, key, recorded.quarantined)
