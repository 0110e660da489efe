"""What a pass does next: bookkeeping of the listed uploads, without threads and without I/O.

All times are seconds of one clock that only grows (`time.monotonic`).
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from itertools import count
from math import inf

from worker.jobs.disk import Space
from worker.jobs.recorded import DeletionQueue, Recorded
from worker.ledger.ledger import Attempt
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

#: Uploads per batch. If the worker dies, the uploads of its batches run alone afterwards.
BATCH_UPLOADS = 8
BATCH_BYTES = 16 << 20
_MOST_DOUBLINGS = 20


@dataclass(frozen=True)
class Schedule:
    """The times of a pass, in seconds.

    Attributes:
        pause: The shortest and the longest pause between two listings; random, so that machines do
            not list in step.
        heartbeat: The longest time between two heartbeats.
        retry: The first and the longest pause before a failed upload is tried again; it doubles.
        held: How long an upload that another machine works on is left alone.
        refused: How long one is left alone that the store refuses to delete.
        patience: How long an upload that must run alone waits for a moment in which nothing runs.
        grace: How long an upload stays at least, from when it was listed first.
        empty: How long an empty object waits for its content.
        settle: The shortest time between two requests that delete several uploads.
    """

    pause: tuple[float, float] = (0.5, 1.5)
    heartbeat: float = 5
    retry: tuple[float, float] = (1, 300)
    held: float = 10
    refused: float = 3600
    patience: float = 30
    grace: float = 0
    empty: float = 60
    settle: float = 0.25


class Kind(Enum):
    """Why uploads form a batch: they are tried for the first time, again, or must run alone."""

    FRESH = auto()
    RETRY = auto()
    ALONE = auto()


@dataclass(frozen=True, eq=False)
class Batch:
    """Work for one thread.

    Attributes:
        works: The single uploads of several keys, or all work for one key.
        kind: Why.
        disk: The bytes of the disk that it needs.
        crashes: If it runs alone, the crashes that were counted for its upload before.
    """

    works: Sequence[KeyUploads]
    kind: Kind
    disk: int
    crashes: Mapping[Upload, int] | None = None


@dataclass(eq=False)
class _Wait:
    """A key whose oldest upload was tried, or must run alone; newer ones wait for it.

    Attributes:
        work: All work for the key, as it was listed last.
        upload: What was tried.
        until: When it is due.
        failures: How often it failed.
        crashes: If it must run alone, its crashes.
        shown: The last listing that showed it.
    """

    work: KeyUploads
    upload: Upload
    until: float
    failures: int
    crashes: int | None
    shown: int


@dataclass
class _Rest:
    """An upload that is left alone, while newer ones of its key are processed.

    Attributes:
        until: When it may be tried again.
        is_leaving: Whether its deletion is under way.
        failures: How often its deletion failed, or it was not found.
        accepted: The listing that showed it when it was tried.
        shown: The last listing that showed it.
    """

    until: float
    accepted: int
    shown: int
    failures: int = 0
    is_leaving: bool = False


@dataclass
class _Accepted:
    """A key that is queued, processed or waiting: when its uploads were seen first, and where."""

    seen: float
    listing: int


class Scheduler:
    """Decides what is processed next.

    Args:
        threads: How many batches are processed at a time.
        attempts: What the ledger knows about uploads that were tried before.
        schedule: The times.
        retries: Whether failed uploads are tried again; otherwise each is tried once.
    """

    def __init__(
        self,
        threads: int,
        attempts: Mapping[Upload, Attempt],
        schedule: Schedule,
        *,
        retries: bool,
    ) -> None:
        self._threads, self._schedule, self._retries = threads, schedule, retries
        self._known = dict(attempts)  # until a listing shows them
        self._listing = 0
        self._queue: dict[str, KeyUploads] = {}
        self._batches: set[Batch] = set()
        self._running: set[str] = set()  # their keys
        self._accepted: dict[str, _Accepted] = {}
        self._waits: dict[str, _Wait] = {}
        self._timers: list[tuple[float, int, _Wait]] = []  # a heap; some are no longer in _waits
        self._numbers = count()
        self._due: dict[str, _Wait] = {}
        self._due_alone: dict[str, _Wait] = {}
        self._tried: dict[str, _Wait] = {}  # those whose batch is running
        self._rests: dict[Upload, _Rest] = {}
        self._deletions = DeletionQueue(schedule.settle)
        self._deleting = 0  # requests
        self._ended: set[Upload] = set()  # the current listing may still show them
        self._forgotten: list[Upload] = []
        self._problems: dict[Upload, str] = {}

    # What is listed.

    def begin_listing(self) -> None:
        """Expect all keys once, in ascending order."""
        self._listing += 1
        self._ended.clear()

    def offer(self, listed: KeyUploads, now: float, clock: datetime) -> bool:
        """Take the work that a listing shows for a key.

        Args:
            listed: The work.
            now: The time.
            clock: The time of day, for the age of an empty object.

        Returns:
            Whether there is anything to do at once that was not known before.
        """
        self._recall(listed, now)
        if listed.key in self._running or listed.key in self._queue:
            return False
        self._await_content(listed, now, clock)
        work = self._awake(listed, now)
        if not (work.withdrawn or work.uploads):
            return False
        wait = self._waits.get(work.key)
        if wait and _head(wait.work) == _head(work):
            if wait.work.uploads != work.uploads:
                self._accepted[work.key].seen = now
            wait.work = work
            return False
        if wait:
            self._drop(wait, is_gone=wait.upload not in work.uploads)
        self._accepted[work.key] = _Accepted(now, self._listing)
        if attempts := {one: self._known.pop(one) for one in work.uploads if one in self._known}:
            return self._resume(work, attempts, now)
        self._queue[work.key] = work
        return True

    def end_listing(self) -> list[Upload]:
        """Note that the listing was complete.

        Returns:
            Uploads that are no longer there, or not as they were: their attempts can be forgotten.
        """
        for wait in list(self._waits.values()):
            if wait.shown < self._listing:
                self._drop(wait, is_gone=True)
        for upload, rest in list(self._rests.items()):
            is_waiting = not rest.is_leaving and upload.key not in self._running
            if is_waiting and rest.shown < self._listing:
                del self._rests[upload]
                self._forget(upload)
        self._forgotten += self._known
        self._known.clear()
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def _recall(self, listed: KeyUploads, now: float) -> None:
        """Note that uploads are still there."""
        for upload in (*listed.withdrawn, *listed.uploads):
            attempt = self._known.get(upload)
            if attempt and attempt.undeletable:
                until = now + self._schedule.refused - attempt.seconds
                self._rests[upload] = _Rest(until, self._listing, self._listing, attempt.failures)
                del self._known[upload]
            if rest := self._rests.get(upload):
                rest.shown = self._listing
        if wait := self._waits.get(listed.key):
            wait.shown = self._listing

    def _await_content(self, listed: KeyUploads, now: float, clock: datetime) -> None:
        """Let an empty object wait for its content, unless a newer one is there."""
        for upload in listed.uploads:
            rest = self._rests.get(upload)
            if upload.size:
                continue
            if upload is not listed.uploads[-1]:
                if rest and not rest.is_leaving and not rest.failures:
                    del self._rests[upload]
            elif not rest:
                age = max(0.0, (clock - upload.last_modified).total_seconds())
                until = now + self._schedule.empty - age
                self._rests[upload] = _Rest(until, self._listing, self._listing)

    def _awake(self, work: KeyUploads, now: float) -> KeyUploads:
        """Leave out what is left alone. A marker stays while a version that it covers does."""
        withdrawn = [one for one in work.withdrawn if one not in self._ended]
        if any(self._is_resting(one, now) for one in withdrawn):
            withdrawn = []
        uploads = [
            one for one in work.uploads if one not in self._ended and not self._is_resting(one, now)
        ]
        return KeyUploads(work.key, withdrawn, uploads)

    def _is_resting(self, upload: Upload, now: float) -> bool:
        rest = self._rests.get(upload)
        return rest is not None and (rest.is_leaving or rest.until > now)

    def _resume(self, work: KeyUploads, attempts: Mapping[Upload, Attempt], now: float) -> bool:
        """Continue with what an earlier pass tried."""
        suspects = {one: attempt for one, attempt in attempts.items() if attempt.is_suspect}
        upload, attempt = next(iter((suspects or attempts).items()))
        until = now
        if attempt.problem is not None:
            self._problems[upload] = attempt.problem
            if self._retries:
                until = max(now, now + self._pause(attempt.failures) - attempt.seconds)
        crashes = attempt.crashes if suspects else None
        self._wait(work, upload, until, attempt.failures, crashes)
        return until <= now

    # What is to be done.

    def take(self, now: float, space: Space) -> Batch | None:
        """Return the next batch, which is running from now on; None if there is none now.

        Args:
            now: The time.
            space: Of the disk. What does not fit beside the running batches waits.
        """
        if any(batch.kind is Kind.ALONE for batch in self._batches):
            return None
        self._wake(now)
        batch = self._alone(space) if not self._queue or self._is_impatient(now) else None
        if batch is None and not self._is_impatient(now):
            batch = self._retry(space) or self._fresh(space)
        if batch:
            self._batches.add(batch)
            self._running.update(work.key for work in batch.works)
        return batch

    def finish(self, batch: Batch) -> None:
        """Note that a batch ended; how its uploads ended has been said before."""
        self._batches.discard(batch)
        for work in batch.works:
            self._running.discard(work.key)
            tried = self._tried.pop(work.key, None)
            if work.key not in self._waits:
                del self._accepted[work.key]
                if tried:
                    self._problems.pop(tried.upload, None)

    def take_recorded(self, now: float) -> list[Recorded]:
        """Return recorded uploads to delete now; `finish_deletion` must follow."""
        recorded = self._deletions.take(now)
        self._deleting += bool(recorded)
        return recorded

    def finish_deletion(self) -> None:
        """Note that a deletion ended; how has been said before."""
        self._deleting -= 1

    def is_idle(self, now: float) -> bool:
        """Return whether nothing is running, queued or due, and nothing is to be deleted."""
        self._wake(now)
        is_processing = self._queue or self._batches or self._due or self._due_alone
        return not (is_processing or self._deletions or self._deleting)

    @property
    def queued(self) -> int:
        """How many keys wait to be processed for the first time."""
        return len(self._queue)

    @property
    def next_due(self) -> float:
        """When something that waits is due."""
        return min(self._timers[0][0] if self._timers else inf, self._deletions.next_due)

    @property
    def problem(self) -> str | None:
        """The problem that has lasted longest."""
        return next(iter(self._problems.values()), None)

    def _wake(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            *_, wait = heapq.heappop(self._timers)
            if self._waits.get(wait.work.key) is wait:
                due = self._due if wait.crashes is None else self._due_alone
                due[wait.work.key] = wait

    def _is_impatient(self, now: float) -> bool:
        """Return whether something must run alone before anything else is started."""
        longest = now - self._schedule.patience
        return any(wait.until < longest for wait in self._due_alone.values())

    def _alone(self, space: Space) -> Batch | None:
        """Return what must run alone, if nothing is running.

        That with the fewest crashes comes first: a file that crashes the worker every time must not
        keep the others waiting.
        """
        if self._batches or not self._due_alone:
            return None
        wait = min(self._due_alone.values(), key=lambda wait: wait.crashes or 0)
        return self._try(wait, Kind.ALONE, space, {wait.upload: wait.crashes or 0})

    def _retry(self, space: Space) -> Batch | None:
        """Return what failed before. It takes half of the threads at most."""
        retries = sum(batch.kind is Kind.RETRY for batch in self._batches)
        if retries >= max(1, self._threads // 2):
            return None
        room = self._room(space)
        for key, wait in self._due.items():
            if key not in self._running and _needed(wait.work, space) <= room:
                return self._try(wait, Kind.RETRY, space)
        return None

    def _try(
        self,
        wait: _Wait,
        kind: Kind,
        space: Space,
        crashes: Mapping[Upload, int] | None = None,
    ) -> Batch:
        self._unwait(wait)
        self._tried[wait.work.key] = wait
        return Batch([wait.work], kind, _needed(wait.work, space), crashes)

    def _room(self, space: Space) -> float:
        """Return the bytes that the running batches leave; if none is, anything may try."""
        return space.free - sum(batch.disk for batch in self._batches) if self._batches else inf

    def _fresh(self, space: Space) -> Batch | None:
        """Return single uploads of different keys, one key, or what was withdrawn of many.

        No thread should be left idle.
        """
        first = next(iter(self._queue.values()), None)
        if first and not first.uploads:
            works = [work for work in self._queue.values() if not work.uploads]
            return self._dequeue(works, 0)
        idle = max(1, self._threads - len(self._batches))
        most = min(BATCH_UPLOADS, -(-len(self._queue) // idle))
        works, size, disk, room = list[KeyUploads](), 0, 0, self._room(space)
        for work in self._queue.values():
            if len(works) == most:
                break
            disk_with = disk + _needed(work, space)
            size_with = size + sum(upload.size for upload in work.uploads)
            if works and not (work.is_single and size_with <= BATCH_BYTES):
                continue
            if disk_with > (min(room, space.free) if works else room):
                continue
            works.append(work)
            size, disk = size_with, disk_with
            if not work.is_single or size > BATCH_BYTES:
                break
        return self._dequeue(works, disk) if works else None

    def _dequeue(self, works: Sequence[KeyUploads], disk: int) -> Batch:
        for work in works:
            del self._queue[work.key]
        return Batch(works, Kind.FRESH, disk)

    # How it ended.

    def leave(self, recorded: Recorded) -> None:
        """Note that an upload is recorded: it is deleted when its grace is over."""
        upload = recorded.upload
        accepted = self._accepted[upload.key]
        rest = self._rests.setdefault(upload, _Rest(0, accepted.listing, self._listing))
        rest.is_leaving = True
        self._problems.pop(upload, None)
        self._deletions.add(recorded, accepted.seen + self._schedule.grace)

    def end(self, uploads: Iterable[Upload]) -> None:
        """Note that uploads are deleted or replaced."""
        for upload in uploads:
            rest = self._rests.pop(upload, None)
            listing = rest.accepted if rest else self._accepted[upload.key].listing
            if listing < self._listing:  # otherwise the listing has passed its key
                self._ended.add(upload)
            self._problems.pop(upload, None)

    def miss(self, upload: Upload, now: float) -> None:
        """Note that an upload is not there: the listing is out of date."""
        self._rest(upload, now, None)

    def keep(self, upload: Upload, problem: str, now: float) -> None:
        """Note that an upload could not be deleted, and why."""
        self._rest(upload, now, None)
        self._problems.setdefault(upload, problem)

    def refuse(self, upload: Upload, now: float) -> None:
        """Note that the store refuses to delete an upload, which is no problem of the pass."""
        self._rest(upload, now, self._schedule.refused)

    def hold(self, work: KeyUploads, now: float) -> None:
        """Note that another machine works on the oldest upload of a key."""
        self._wait(work, work.uploads[0], now + self._schedule.held, 0, None)

    def suspect(self, work: KeyUploads, now: float, crashes: int = 0) -> None:
        """Note that the oldest upload of a key may be what crashed: it runs alone."""
        self._wait(work, work.uploads[0], now, 0, crashes)

    def fail(
        self,
        work: KeyUploads,
        upload: Upload,
        problem: str,
        now: float,
        crashes: int | None = None,
    ) -> None:
        """Note that an attempt failed.

        Args:
            work: What is left to do for the key.
            upload: What was tried.
            problem: Why.
            now: The time.
            crashes: If it must run alone, its crashes.
        """
        tried = self._tried.get(work.key)
        failures = (tried.failures if tried else 0) + 1
        self._wait(work, upload, now + self._pause(failures), failures, crashes)
        self._problems[upload] = problem

    def _pause(self, failures: int) -> float:
        if not self._retries:
            return inf
        first, longest = self._schedule.retry
        return min(first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), longest)

    def _rest(self, upload: Upload, now: float, pause: float | None) -> None:
        rest = self._rests.setdefault(upload, _Rest(0, self._listing, self._listing))
        rest.failures += 1
        rest.until = now + (self._pause(rest.failures) if pause is None else pause)
        rest.shown, rest.is_leaving = self._listing, False

    def _wait(
        self, work: KeyUploads, upload: Upload, until: float, failures: int, crashes: int | None
    ) -> None:
        wait = _Wait(work, upload, until, failures, crashes, self._listing)
        self._waits[work.key] = wait
        if until < inf:
            heapq.heappush(self._timers, (until, next(self._numbers), wait))

    def _unwait(self, wait: _Wait) -> None:
        for waits in (self._waits, self._due, self._due_alone):
            waits.pop(wait.work.key, None)

    def _drop(self, wait: _Wait, *, is_gone: bool) -> None:
        self._unwait(wait)
        del self._accepted[wait.work.key]
        self._problems.pop(wait.upload, None)
        if is_gone:
            self._forget(wait.upload)

    def _forget(self, upload: Upload) -> None:
        self._problems.pop(upload, None)
        self._forgotten.append(upload)


def _head(work: KeyUploads) -> tuple[list[Upload], list[Upload]]:
    return work.withdrawn[:1], work.uploads[:1]


def _needed(work: KeyUploads, space: Space) -> int:
    """Return the bytes of disk for a key: its uploads are processed one after another."""
    return max((space.needed(upload.size) for upload in work.uploads), default=0)
