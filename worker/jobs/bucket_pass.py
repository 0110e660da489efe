"""A pass: one thread lists the input bucket repeatedly, while others process the uploads."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from math import inf

from worker.errors import PassInterrupted, ServiceUnavailable
from worker.jobs.context import Context
from worker.jobs.gather import Gatherer
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.lease_keeper import LeaseKeeper
from worker.jobs.processor import Processor
from worker.jobs.schedule import Schedule
from worker.jobs.scheduler import Scheduler
from worker.jobs.sweep import sweep
from worker.jobs.work_queue import BATCH_UPLOADS
from worker.uploads.listing import group_by_key


class Pass:
    """One pass. One thread lists; the others process, each one batch at a time.

    Args:
        context: What all jobs share. The pass closes its pool and its threads for requests.
        threads: How many batches are processed at a time.
        schedule: The times.
    """

    def __init__(self, context: Context, threads: int, schedule: Schedule | None = None) -> None:
        self._context, self._threads = context, threads
        self._schedule = schedule or Schedule()
        self._bucket = context.pipeline.input
        self._leases = LeaseKeeper(context.ledger)
        self._gatherer: Gatherer | None = None
        if context.upstream and context.requests:
            self._gatherer = Gatherer(context, context.upstream, context.requests)
        # Everything below is used under this lock; threads wait for a change of it.
        self._changed = threading.Condition()
        self._scheduler: Scheduler
        self._fatal: str | None = None  # the problem that ends the pass
        self._is_stopped = self._is_ending = False
        self._buckets_checked = False
        self._processor: Processor
        self.counts: Counter[str] = Counter()

    def run(self, linger: float) -> None:
        """Process uploads until there has been no work for a time.

        Args:
            linger: The time in seconds. 0: end with the first listing that shows nothing new, and
                try each upload once; otherwise failed ones are tried again.

        Raises:
            ServiceUnavailable: The pass could not continue, was stopped while there was work, or
                an upload failed.
        """
        ledger = self._context.ledger
        sweep(self._context)
        schedule = replace(self._schedule, retries=linger > 0)
        attempts = ledger.unfinished_attempts(self._bucket)
        self._scheduler = Scheduler(self._threads, attempts, schedule, self._context.batch_uploads)
        self._processor = Processor(
            self._context,
            self._leases,
            self._scheduler,
            self._changed,
            counts=self.counts,
            is_ending=lambda: self._is_ending,
        )
        has_work = True
        heartbeat = Heartbeat(ledger, schedule.heartbeat, self._problem, self._end)
        executor = ThreadPoolExecutor(self._threads)
        with ExitStack() as stack:
            stack.callback(self._context.pool.close)
            if self._context.requests:
                stack.callback(self._context.requests.close)
            self._leases.open()
            stack.callback(self._leases.close)
            heartbeat.open()
            stack.callback(heartbeat.close)
            stack.callback(executor.shutdown)
            stack.callback(self._end, None)
            workers = [executor.submit(self._work) for _ in range(self._threads)]
            try:
                has_work = self._list_repeatedly(linger, heartbeat)
            except ServiceUnavailable as error:
                self._end(str(error))
        for worker in workers:
            worker.result()
        stopped = "The pass was stopped by a signal." if self._is_stopped and has_work else None
        if problem := self._problem() or stopped:
            raise ServiceUnavailable(problem)
        ledger.heartbeat(None)

    def stop(self) -> None:
        """Stop soon: running transforms are killed, and their uploads left for the next pass."""
        self._is_stopped = True
        self._context.pool.stop()
        self._end(None)

    def _end(self, problem: str | None) -> None:
        """Let all threads end after what they are doing."""
        with self._changed:
            self._fatal = self._fatal or problem
            self._is_ending = True
            self._changed.notify_all()

    def _problem(self) -> str | None:
        with self._changed:
            gathering = self._gatherer.problem if self._gatherer else None
            return self._fatal or self._scheduler.problem or gathering

    # The thread that lists.

    def _list_repeatedly(self, linger: float, heartbeat: Heartbeat) -> bool:
        """List until there has been no work for a time, or the pass is ending.

        Returns:
            Whether there is work left.
        """
        versioned = self._context.store.is_versioned(self._bucket)
        active, was_quiet = time.monotonic(), False
        while True:
            was_idle = self._is_idle()
            if self._gatherer:
                self._gatherer.gather()
            found = self._list(versioned=versioned)
            is_quiet = was_idle and not found and self._is_idle()
            now = time.monotonic()
            if not is_quiet:
                active = now
            elif not was_quiet:
                heartbeat.beat_soon()
            was_quiet = is_quiet
            if self._is_ending or (is_quiet and now - active >= linger):
                return not is_quiet
            self._pause()

    def _list(self, *, versioned: bool) -> bool:
        """Offer everything that the bucket contains, as fast as it is processed.

        Returns:
            Whether there was anything new.
        """
        with self._changed:
            self._scheduler.begin_listing()
        pages = self._context.store.list_pages(self._bucket, versions=versioned)
        works = group_by_key(self._bucket, pages, self._context.pipeline.ignore)
        limit, found = self._threads * BATCH_UPLOADS, False
        while chunk := list(islice(works, limit)):
            if self._gatherer:
                chunk = self._gatherer.with_sizes(chunk)
            self._check_buckets()
            with self._changed:
                self._changed.wait_for(lambda: self._is_ending or self._scheduler.queued < limit)
                if self._is_ending:
                    return True
                now, clock = time.monotonic(), datetime.now(UTC)
                for work in chunk:
                    found |= self._scheduler.offer(work, now, clock)
                self._changed.notify_all()
        with self._changed:
            forgotten = self._scheduler.end_listing()
        if forgotten:
            self._context.ledger.clear_attempts(forgotten)
        return found

    def _check_buckets(self) -> None:
        if not self._buckets_checked:
            for bucket in self._context.buckets:
                self._context.store.check_bucket(bucket)
            self._buckets_checked = True

    def _pause(self) -> None:
        """Wait before the next listing: less if no work is left."""
        with self._changed:
            was_idle = self._is_idle()
            self._changed.wait_for(
                lambda: self._is_ending or (self._is_idle() and not was_idle),
                random.uniform(*self._schedule.pause),  # noqa: S311
            )

    def _is_idle(self) -> bool:
        with self._changed:
            return self._scheduler.is_idle(time.monotonic())

    # The threads that process.

    def _work(self) -> None:
        """Process batches and deletions until the pass is ending."""
        try:
            while step := self._next():
                step()
        except ServiceUnavailable as error:
            self._end(str(error))
        except OSError as error:
            problem = f"The state folder cannot be used: {error.strerror} ({error.filename})."
            self._end(problem)
        except PassInterrupted:
            self._end(None)
        except BaseException:
            self._end(None)
            raise

    def _next(self) -> Callable[[], None] | None:
        """Wait for a batch or a deletion, and return it; None if the pass is ending."""
        with self._changed:
            while not self._is_ending:
                now = time.monotonic()
                if recorded := self._scheduler.take_recorded(now):
                    return partial(self._processor.delete, recorded)
                if batch := self._scheduler.take(now, self._context.space()):
                    return partial(self._processor.process, batch)
                due = self._scheduler.next_due
                self._changed.wait(max(0, due - now) if due < inf else None)
        return None
