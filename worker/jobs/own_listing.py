"""A pass that lists the input bucket itself and processes what it finds."""

import random
import time
from datetime import UTC, datetime

from worker.jobs.bucket_listing import BucketListing
from worker.jobs.context import Context
from worker.jobs.pass_state import PassState
from worker.jobs.schedule import Schedule
from worker.jobs.scheduler import Scheduler
from worker.jobs.work_queue import BATCH_UPLOADS

# The longest pause between two listings while there is enough to do.
_BUSY_SECONDS = 10


class OwnListing:
    """Implements `Source`.

    Args:
        context: What all jobs share.
        threads: How many batches are processed at a time.
        schedule: The times.
        linger: The pass ends when there has been no work for these seconds. 0: it ends with the
            first listing that shows nothing new, and tries each upload once; otherwise failed ones
            are tried again.
    """

    def __init__(self, context: Context, threads: int, schedule: Schedule, linger: float) -> None:
        self._context, self._threads, self._linger = context, threads, linger
        self.schedule = schedule if linger else schedule.once
        self._listing = BucketListing(context)
        self._state: PassState
        self.lingers = linger > 0

    @property
    def problem(self) -> str | None:
        """See `Source.problem`."""
        return self._listing.problem

    def open(self, state: PassState) -> Scheduler:
        """See `Source.open`."""
        self._state = state
        attempts = self._context.ledger.unfinished_attempts(self._context.pipeline.input)
        return Scheduler(self._threads, attempts, self.schedule, self._context.batch_uploads)

    def feed(self) -> bool:
        """See `Source.feed`."""
        state, active, was_quiet = self._state, time.monotonic(), False
        while True:
            was_idle = state.is_idle()
            found = self._list()
            is_quiet = was_idle and not found and state.is_idle()
            now = time.monotonic()
            if not is_quiet:
                active = now
            elif not was_quiet:
                state.heartbeat_due.set()
            was_quiet = is_quiet
            if state.is_ending or (is_quiet and now - active >= self._linger):
                return not is_quiet
            self._pause()

    def note_ended(self) -> None:
        """See `Source.note_ended`; there is no task to finish."""

    def _list(self) -> bool:
        """Offer everything that the bucket contains, as fast as it is processed.

        Returns:
            Whether there was anything new.
        """
        state, limit, found = self._state, self._threads * BATCH_UPLOADS, False
        with state.changed:
            state.scheduler.begin_listing()
        for chunk in self._listing.chunks(limit, state.note_fed):
            state.wait(lambda: state.scheduler.queued < limit)
            with state.changed:
                if state.is_ending:
                    return True
                now, clock = time.monotonic(), datetime.now(UTC)
                for work in chunk:
                    found |= state.scheduler.offer(work, now, clock)
                state.changed.notify_all()
        with state.changed:
            forgotten = state.scheduler.end_listing()
        if forgotten:
            self._context.ledger.clear_attempts(forgotten)
        return found

    def _pause(self) -> None:
        """Wait before the next listing: less if no work is left, longer while keys are queued.

        A listing then shows mostly the keys that are queued.
        """
        was_idle = self._state.is_idle()
        pause = random.uniform(*self.schedule.pause)  # noqa: S311
        self._state.wait(lambda: not was_idle and self._state.is_idle(), pause)
        self._state.wait(lambda: self._state.scheduler.queued < self._threads, _BUSY_SECONDS)
