"""A pass of one machine of several: one lists the input bucket, all process what they get."""

import random
import time
from collections.abc import Callable
from typing import Protocol

from worker.dispatch.assignments import LISTER_SECONDS, Assignments
from worker.dispatch.task_queue import Assigned
from worker.jobs.context import Context
from worker.jobs.fleet_lister import FleetLister
from worker.jobs.pass_state import PassState
from worker.jobs.schedule import Schedule
from worker.jobs.scheduler import Scheduler
from worker.jobs.task_feed import TaskFeed

# An idle pass ends after this time, so that the next one begins with little memory.
_LIFE_SECONDS = 3600
# How soon another machine becomes the lister after the lease of a dead one has ended.
_TAKE_OVER_SECONDS = LISTER_SECONDS / 5


class Queue(Protocol):
    """What a machine gets from the queue; see `TaskQueue`."""

    @property
    def problem(self) -> str | None:
        """Why the queue no longer works; None if it does."""

    def open(self) -> None:
        """Begin to receive bundles."""

    def close(self) -> None:
        """Give unfinished bundles back."""


#: Makes a queue, which calls the first function with each bundle, the second with its failure.
MakeQueue = Callable[[Callable[[Assigned], None], Callable[[str], None]], Queue]


class FleetSource:
    """Implements `Source`.

    Args:
        context: What all jobs share.
        threads: How many batches are processed, and how many tasks held, at a time.
        schedule: The times.
        assignments: Those of the pipeline.
        make_queue: Makes the queue.
    """

    lingers = True

    def __init__(
        self,
        context: Context,
        threads: int,
        schedule: Schedule,
        assignments: Assignments,
        make_queue: MakeQueue,
    ) -> None:
        self._context, self._threads, self.schedule = context, threads, schedule
        self._assignments, self._make_queue = assignments, make_queue
        self._state: PassState
        self._feed: TaskFeed
        self._queue: Queue
        self._lister: FleetLister

    @property
    def problem(self) -> str | None:
        """See `Source.problem`."""
        return self._queue.problem or self._lister.problem

    def open(self, state: PassState) -> Scheduler:
        """See `Source.open`."""
        self._state = state
        self._feed = TaskFeed(self._context.ledger, self._context.pipeline.input, state)
        self._queue = self._make_queue(self._feed.receive, state.end)
        self._lister = FleetLister(
            self._context, self._assignments, self.schedule, self._threads, state
        )
        schedule, limit = self.schedule.of_tasks, self._context.batch_uploads
        return Scheduler(self._threads, {}, schedule, limit, is_divided=True)

    def feed(self) -> bool:
        """See `Source.feed`."""
        try:
            return self._feed_until_end()
        finally:
            # Running jobs may take hours: other machines can do what has not begun.
            self._queue.close()
            self._lister.resign()

    def _feed_until_end(self) -> bool:
        state, began = self._state, time.monotonic()
        state.heartbeat_due.set()
        self._queue.open()
        while not state.is_ending:
            with state.changed:
                state.scheduler.begin_listing()  # deleted uploads are not remembered for ever
            start, found = time.monotonic(), False
            is_lister = self._lister.lead()
            if is_lister:
                found = self._lister.list_once()
                self._lister.await_demand()
            now = time.monotonic()
            if now - began > _LIFE_SECONDS and not found and self._is_idle():
                return False
            # One machine lists for all: more often than one that lists for itself.
            listing_pause = random.uniform(*self.schedule.pause) / 2  # noqa: S311
            pause = listing_pause if is_lister else _TAKE_OVER_SECONDS
            # A bucket that is full of what cannot be processed takes half of a core at most.
            state.pause(pause if found else max(pause, now - start))
        return not self._is_idle()

    def note_ended(self) -> None:
        """See `Source.note_ended`."""
        self._feed.finish_settled()
        if self._state.is_idle():
            self._state.heartbeat_due.set()  # it releases leases: newer uploads wait for that

    def _is_idle(self) -> bool:
        return self._feed.is_empty and self._state.is_idle()
