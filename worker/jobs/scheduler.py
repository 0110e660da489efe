"""What a pass does next: bookkeeping of the listed uploads, without threads and without I/O.

All times are seconds of one clock that only grows (`time.monotonic`).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import inf

from worker.jobs.disk import Space
from worker.jobs.paused import PausedUploads
from worker.jobs.recorded import DeletionQueue, Recorded
from worker.jobs.schedule import Schedule
from worker.jobs.waiting import Wait, Waiting
from worker.jobs.work_queue import BATCH_UPLOADS, Batch, Kind, WorkQueue, needed, room
from worker.ledger.ledger import Attempt
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload


class Scheduler:
    """Decides what is processed next.

    Args:
        threads: How many batches are processed at a time.
        attempts: What the ledger knows about uploads that were tried before.
        schedule: The times.
        batch_uploads: The largest number of uploads of a batch.
        is_divided: Whether works come in parts for one thread each, as a fleet's bundles do. Else
            busy threads count too where the queue is divided: its last batches are small, and slow
            pictures do not wait in one of them while other threads are idle.
    """

    def __init__(
        self,
        threads: int,
        attempts: Mapping[Upload, Attempt],
        schedule: Schedule,
        batch_uploads: int = BATCH_UPLOADS,
        *,
        is_divided: bool = False,
    ) -> None:
        self._threads, self._schedule, self._is_divided = threads, schedule, is_divided
        self._known = dict(attempts)  # until a listing shows them
        self._listing = 0
        self._queue = WorkQueue(batch_uploads)
        self._seen: dict[str, float] = {}  # when unfinished keys were first listed
        self._batches: list[Batch] = []
        self._running: set[str] = set()  # their keys
        self._tried: dict[str, Wait] = {}  # the waits of running keys that were tried before
        self._waiting = Waiting()
        self._paused = PausedUploads(schedule)
        self._deletions = DeletionQueue(schedule.settle)
        self._deleting = 0  # deletions that are running
        self._forgotten: list[Upload] = []
        self._problems: dict[Upload, str] = {}

    # What is listed.

    def begin_listing(self) -> None:
        """Expect `offer` for all keys, once each."""
        self._listing += 1
        self._paused.begin_listing()

    def offer(self, listed: KeyUploads, now: float, clock: datetime) -> bool:
        """Take the work that a listing shows for a key.

        Args:
            listed: The work.
            now: The time.
            clock: The time of day, for the age of an empty object.

        Returns:
            Whether there is anything to do at once that was not known before.
        """
        self._show(listed, now)
        if listed.key in self._running or listed.key in self._queue:
            return False
        self._paused.await_content(listed, now, clock)
        work = self._paused.awake(listed, now)
        if not work.versions:
            return False
        wait = self._waiting.get(work.key)
        if wait and wait.is_of(work):
            if wait.work.uploads != work.uploads:
                self._seen[work.key] = now
            wait.work = work
            return False
        if wait:
            self._drop(wait, is_gone=wait.upload not in work.uploads)
        self._seen[work.key] = now
        if attempts := {one: self._known.pop(one) for one in work.uploads if one in self._known}:
            return self._resume(work, attempts, now)
        self._queue.add(work)
        return True

    def end_listing(self) -> list[Upload]:
        """Note that the listing was complete.

        Returns:
            Uploads that are no longer listed, or were replaced: their attempts can be deleted.
        """
        for wait in self._waiting.not_shown(self._listing):
            self._drop(wait, is_gone=True)
        for upload in (*self._paused.end_listing(self._running), *self._known):
            self._forget(upload)
        self._known.clear()
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def _show(self, listed: KeyUploads, now: float) -> None:
        """Note that uploads are still listed."""
        for upload in listed.versions:
            attempt = self._known.get(upload)
            if attempt and attempt.is_undeletable:
                self._paused.pause(upload, now + self._schedule.refused - attempt.seconds)
                del self._known[upload]
            self._paused.note_listed(upload, now)
        if wait := self._waiting.get(listed.key):
            wait.shown = self._listing

    def _resume(self, work: KeyUploads, attempts: Mapping[Upload, Attempt], now: float) -> bool:
        """Continue with the attempts of an earlier pass."""
        suspects = {one: attempt for one, attempt in attempts.items() if attempt.is_suspect}
        upload, attempt = next(iter((suspects or attempts).items()))
        until = now
        if attempt.problem is not None:
            self._problems[upload] = attempt.problem
            if self._schedule.retries:
                pause = self._schedule.pause_after(attempt.failures)
                until = max(now, now + pause - attempt.seconds)
        crashes = attempt.crashes if suspects else None
        self._wait(work, upload, until, attempt.failures, crashes)
        return until <= now

    # What is assigned by a lister, instead of begin_listing … end_listing.

    def assign(
        self,
        work: KeyUploads,
        attempts: Mapping[Upload, Attempt],
        now: float,
        clock: datetime,
    ) -> None:
        """Take work that is to be done now, unless its key is being worked on.

        Args:
            work: The work.
            attempts: What is known about uploads that were tried before.
            now: The time.
            clock: The time of day.
        """
        if self.is_settled(work.key):
            self.forget(work)
            for upload in work.uploads:
                if attempt := attempts.get(upload):
                    self._known[upload] = attempt
                    self._paused.note_missed(upload, attempt.failures)
            self.offer(work, now, clock)

    def is_settled(self, key: str) -> bool:
        """Return whether nothing more is done for a key: it was tried, or never assigned."""
        wait = self._waiting.get(key)
        is_waiting = wait is not None and wait.until < inf
        return not (is_waiting or key in self._running or key in self._queue)

    def forget(self, work: KeyUploads) -> list[Upload]:
        """Forget how the work for a settled key ended, but for pending deletions.

        Returns:
            The uploads that were not found.
        """
        if wait := self._waiting.get(work.key):
            self._drop(wait, is_gone=False)
        for upload in work.uploads:
            self._known.pop(upload, None)
            self._problems.pop(upload, None)
        return self._paused.forget(work.versions)

    # What is to be done.

    def take(self, now: float, space: Space) -> Batch | None:
        """Return the next batch, which is running from now on; None if there is none now.

        Args:
            now: The time.
            space: The disk's. Uploads that do not fit beside the running batches wait.
        """
        self._waiting.wake(now)
        if any(batch.kind is Kind.ALONE for batch in self._batches):
            return None
        is_overdue = self._is_overdue(now)
        batch = self._alone(space) if is_overdue or not self._queue else None
        if batch is None and not is_overdue:
            batch = self._fitting(now, space)
        if batch:
            self._batches.append(batch)
            self._running.update(work.key for work in batch.works)
        return batch

    def finish(self, batch: Batch) -> None:
        """Note that a batch ended; how its uploads ended was noted before."""
        self._batches.remove(batch)
        for work in batch.works:
            self._running.discard(work.key)
            tried = self._tried.pop(work.key, None)
            if work.key not in self._waiting:
                self._seen.pop(work.key, None)  # a listing without the key may have ended its wait
                if tried:
                    self._problems.pop(tried.upload, None)

    def take_recorded(self, now: float) -> list[Recorded]:
        """Return recorded uploads to delete now; `finish_deletion` must follow."""
        recorded = self._deletions.take(now)
        self._deleting += bool(recorded)
        return recorded

    def finish_deletion(self) -> None:
        """Note that a deletion ended; how its uploads ended was noted before."""
        self._deleting -= 1

    def is_idle(self, now: float) -> bool:
        """Return whether nothing is running, queued or due, and nothing is to be deleted."""
        self._waiting.wake(now)
        is_due = self._queue or self._waiting.due or self._waiting.due_alone
        return not (is_due or self._batches or self._deletions or self._deleting)

    @property
    def queued(self) -> int:
        """How many keys wait to be processed for the first time."""
        return len(self._queue)

    @property
    def next_due(self) -> float:
        """When the next attempt or deletion is due."""
        return min(self._waiting.next_due, self._deletions.next_due)

    @property
    def problem(self) -> str | None:
        """The problem that has lasted longest."""
        return next(iter(self._problems.values()), None)

    def _fitting(self, now: float, space: Space) -> Batch | None:
        """Return a batch that fits on the disk beside the running ones.

        If the first of all waits too long, nothing else is started until it fits.
        """
        left = room(self._batches, space)
        longest = now - self._schedule.patience
        first, retry = self._queue.first, next(iter(self._waiting.due.values()), None)
        late = [first] if first and self._seen[first.key] < longest else []
        is_first_late = bool(late)
        late += [retry.work] if retry and retry.until < longest else []
        if any(needed(work, space) > left for work in late):
            return None
        if is_first_late and not self._batches:  # retries would never end
            return self._queue.take(self._shares, space, left)
        return self._retry(space, left) or self._queue.take(self._shares, space, left)

    @property
    def _shares(self) -> int:
        """Among how many threads the queue is divided."""
        return max(1, self._threads - len(self._batches)) if self._is_divided else self._threads

    def _is_overdue(self, now: float) -> bool:
        """Return whether something must run alone before anything else is started."""
        longest = now - self._schedule.patience
        return any(wait.until < longest for wait in self._waiting.due_alone.values())

    def _alone(self, space: Space) -> Batch | None:
        """Return what must run alone, if nothing is running.

        The one with the fewest crashes comes first: a file that always crashes the worker must not
        delay the others.
        """
        if self._batches or not self._waiting.due_alone:
            return None
        wait = min(self._waiting.due_alone.values(), key=lambda wait: wait.crashes or 0)
        return self._try(wait, Kind.ALONE, space)

    def _retry(self, space: Space, left: float) -> Batch | None:
        """Return a key whose upload failed before. Retries take at most half of the threads."""
        retries = sum(batch.kind is Kind.RETRY for batch in self._batches)
        if retries >= max(1, self._threads // 2):
            return None
        for key, wait in self._waiting.due.items():
            if key not in self._running and needed(wait.work, space) <= left:
                return self._try(wait, Kind.RETRY, space)
        return None

    def _try(self, wait: Wait, kind: Kind, space: Space) -> Batch:
        self._waiting.remove(wait)
        self._tried[wait.work.key] = wait
        crashes = None if wait.crashes is None else {wait.upload: wait.crashes}
        return Batch([wait.work], kind, needed(wait.work, space), crashes)

    # How uploads ended.

    def note_recorded(self, recorded: Recorded) -> None:
        """Note that an upload is recorded: it is deleted when its grace is over."""
        self._paused.note_deletion(recorded.upload)
        self._problems.pop(recorded.upload, None)
        due = self._seen[recorded.upload.key] + self._schedule.grace
        self._deletions.add(recorded, due)

    def note_gone(self, uploads: Iterable[Upload]) -> None:
        """Note that uploads are deleted or replaced."""
        for upload in uploads:
            self._paused.note_gone(upload)
            self._problems.pop(upload, None)

    def note_missing(self, upload: Upload, now: float) -> bool:
        """Note that an upload is not there: the listing is out of date, or the store is wrong.

        Returns:
            Whether newer uploads of its key must wait, until it is no longer listed.
        """
        if self._paused.note_missing(upload, now):
            self._problems.setdefault(upload, problem_of_missing(upload))
        return self._paused.is_searched(upload)

    def note_deletion_held(self, upload: Upload, now: float) -> None:
        """Note that a recorded upload was not deleted: another machine has leased its key."""
        self._paused.note_failure(upload, now)

    def note_deletion_failure(self, upload: Upload, problem: str, now: float) -> None:
        """Note that an upload could not be deleted, and why."""
        self._paused.note_failure(upload, now)
        self._problems.setdefault(upload, problem)

    def note_refusal(self, upload: Upload, now: float) -> None:
        """Note that the store refuses to delete an upload, which is not a problem of the pass."""
        self._paused.pause(upload, now + self._schedule.refused)

    def note_held(self, work: KeyUploads, now: float) -> None:
        """Note that another machine works on the oldest upload of a key."""
        self._wait(work, work.uploads[0], now + self._schedule.held)

    def note_suspect(self, work: KeyUploads, now: float, crashes: int = 0) -> None:
        """Note that the oldest upload of a key may have caused a crash: it runs alone."""
        self._wait(work, work.uploads[0], now, 0, crashes)

    def note_failure(
        self,
        work: KeyUploads,
        upload: Upload,
        problem: str,
        now: float,
        crashes: int | None = None,
    ) -> None:
        """Note that an attempt failed.

        Args:
            work: The remaining work for the key.
            upload: The upload that was tried.
            problem: Why it failed.
            now: The time.
            crashes: If it must run alone, how often it crashed.
        """
        tried = self._tried.get(work.key)
        failures = (tried.failures if tried else 0) + 1
        until = now + self._schedule.pause_after(failures)
        self._wait(work, upload, until, failures, crashes)
        self._problems[upload] = problem

    def _wait(
        self,
        work: KeyUploads,
        upload: Upload,
        until: float,
        failures: int = 0,
        crashes: int | None = None,
    ) -> None:
        self._waiting.add(Wait(work, upload, until, self._listing, failures, crashes))

    def _drop(self, wait: Wait, *, is_gone: bool) -> None:
        self._waiting.remove(wait)
        del self._seen[wait.work.key]
        self._problems.pop(wait.upload, None)
        if is_gone:
            self._forget(wait.upload)

    def _forget(self, upload: Upload) -> None:
        self._problems.pop(upload, None)
        self._forgotten.append(upload)


def problem_of_missing(upload: Upload) -> str:
    """Return the problem that an upload is not found again and again."""
    return f"The bucket {upload.bucket!r} lists {upload.key!r}, but does not find it."
