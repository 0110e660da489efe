"""A pass: one thread offers works, while others process them."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from math import inf

from worker.errors import PassInterrupted, ServiceUnavailable
from worker.jobs.context import Context
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.lease_keeper import LeaseKeeper
from worker.jobs.pass_state import PassState
from worker.jobs.processor import Processor
from worker.jobs.source import Source
from worker.jobs.sweep import sweep
from worker.watchdog import Watchdog

# No request, and no wait of the thread that offers works, lasts nearly as long.
_FED_SECONDS = 300


class Pass:
    """One pass. One thread offers works; the others process, each one batch at a time.

    Args:
        context: What all jobs share. The pass closes its pool and its threads for requests.
        threads: How many batches are processed at a time.
        source: Where the works come from.
        is_outdated: Returns whether the pass should end after what is running, since the mode has
            changed; called after each heartbeat.

    Attributes:
        was_outdated: Whether it has ended so.
    """

    def __init__(
        self,
        context: Context,
        threads: int,
        source: Source,
        is_outdated: Callable[[], bool] = lambda: False,
    ) -> None:
        self._context, self._threads, self._source = context, threads, source
        self._is_outdated = is_outdated
        self._leases = LeaseKeeper(context.ledger)
        self._state = PassState()
        self._processor: Processor
        self._workers: list[Future[None]] = []
        self._watchdog = Watchdog()
        self._is_stopped = False
        self.was_outdated = False

    @property
    def counts(self) -> Counter[str]:
        """How many uploads ended in which way."""
        return self._state.counts

    def run(self) -> None:
        """Process uploads until the source has none, or the pass is outdated.

        Raises:
            ServiceUnavailable: The pass could not continue, or an upload failed.
            PassInterrupted: It was stopped while there was work.
        """
        ledger, state, source = self._context.ledger, self._state, self._source
        has_work = True
        executor = ThreadPoolExecutor(self._threads)
        heartbeat = Heartbeat(
            ledger,
            source.schedule.heartbeat,
            state.heartbeat_due,
            is_live=source.lingers,
            problem=self._problem,
            written=self._check,
            failed=state.end,
        )
        with ExitStack() as stack:
            stack.callback(self._context.pool.close)
            if self._context.requests:
                stack.callback(self._context.requests.close)
            ledger.end_leases()  # a killed pass may have left some
            stack.callback(self._end_leases)
            state.scheduler = source.open(state)
            self._processor = Processor(self._context, self._leases, state)
            self._leases.open()
            stack.callback(self._leases.close)
            heartbeat.open()
            stack.callback(heartbeat.close)
            sweep(self._context)
            stack.callback(executor.shutdown)
            stack.callback(state.end)
            self._workers = [executor.submit(self._work) for _ in range(self._threads)]
            try:
                has_work = source.feed()
            except ServiceUnavailable as error:
                state.end(str(error))
        for worker in self._workers:
            worker.result()
        if self.was_outdated and not (self._is_stopped or state.problem):
            return
        if problem := self._problem():
            raise ServiceUnavailable(problem)
        ledger.heartbeat(None)
        if self._is_stopped and has_work:
            raise PassInterrupted("The pass was stopped by a signal.")

    def stop(self) -> None:
        """Stop soon: running transforms are killed, and their uploads left for the next pass."""
        self._is_stopped = True
        self._context.pool.stop()
        self._state.end()

    def _end_leases(self) -> None:
        """Let other machines continue at once with what is left."""
        with suppress(ServiceUnavailable):
            self._context.ledger.end_leases()

    def _problem(self) -> str | None:
        with self._state.changed:
            return self._state.problem or self._state.scheduler.problem or self._source.problem

    def _check(self) -> None:
        """Report to the watchdog if all threads are alive; end if the pass is outdated."""
        is_fed = time.monotonic() - self._state.fed < _FED_SECONDS
        is_working = is_fed and not any(one.done() for one in self._workers)
        # The last job of a pass may take hours, in which the other threads have ended.
        if self._leases.is_alive and (is_working or self._state.is_ending):
            self._watchdog.ping()
        if not self._state.is_ending and self._is_outdated():
            self.was_outdated = True
            self._state.end()

    # The threads that process.

    def _work(self) -> None:
        """Process batches and deletions until the pass is ending."""
        try:
            while step := self._next():
                step()
                self._source.note_ended()
        except ServiceUnavailable as error:
            self._state.end(str(error))
        except OSError as error:
            problem = f"The state folder cannot be used: {error.strerror} ({error.filename})."
            self._state.end(problem)
        except PassInterrupted:
            self._state.end()
        except BaseException:
            self._state.end()
            raise

    def _next(self) -> Callable[[], None] | None:
        """Wait for a batch or a deletion, and return it; None if the pass is ending."""
        state = self._state
        with state.changed:
            while not state.is_ending:
                now = time.monotonic()
                if recorded := state.scheduler.take_recorded(now):
                    return partial(self._processor.delete, recorded)
                if batch := state.scheduler.take(now, self._context.space()):
                    return partial(self._processor.process, batch)
                due = state.scheduler.next_due
                state.changed.wait(max(0, due - now) if due < inf else None)
        return None
