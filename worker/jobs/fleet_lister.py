"""The lister of a fleet: one machine at a time lists the input bucket for all of them."""

import random
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain, pairwise

from worker.dispatch.assignments import LISTER_SECONDS, Assignments, Pauses
from worker.dispatch.bundle import Bundle
from worker.jobs.bucket_listing import BucketListing
from worker.jobs.bundling import Due, bundles
from worker.jobs.context import Context
from worker.jobs.pass_state import PassState
from worker.jobs.paused import PausedUploads
from worker.jobs.schedule import Schedule
from worker.uploads.listing import KeyUploads

_CHUNK = 1000  # keys: a page
_LOOK_SECONDS = 0.15  # between two looks at a full queue
_DEMAND_SECONDS = 2.0  # at most between two listings while no thread is short of tasks
_QUEUED = 4  # tasks a thread: short jobs must not exhaust the queue between two looks
_MOST_SLOW = 1000  # works that are kept; others are listed again


class FleetLister:
    """Lists for all machines while it holds the lister's lease, and assigns what is due.

    Args:
        context: What all jobs share.
        assignments: Those of the pipeline.
        schedule: The times.
        threads: How many batches each machine processes at a time.
        state: The pass's.
    """

    def __init__(
        self,
        context: Context,
        assignments: Assignments,
        schedule: Schedule,
        threads: int,
        state: PassState,
    ) -> None:
        self._context, self._assignments, self._state = context, assignments, state
        self._listing = BucketListing(context)
        self._paused = PausedUploads(schedule)  # empty objects that wait for their content
        self._pauses = Pauses(after=schedule.pause_after, refused=schedule.refused)
        self._threads, self._fleet_threads = threads, threads
        self._led: float | None = None  # when the lease was acquired or renewed
        self._slow: dict[str, Due] = {}  # due, but too many of them are assigned
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """The problem of an upload that failed, or of a run's file; None unless it lists."""
        if self._led is None:
            return None
        return self._listing.problem or self._problem

    def lead(self) -> bool:
        """Become the lister or stay it.

        Returns:
            Whether this machine is it.

        Raises:
            ServiceUnavailable: The database failed.
        """  # noqa: DOC502  raised by assignments and ledger
        now = time.monotonic()
        if self._led is None or now - self._led > LISTER_SECONDS / 4:
            self._led = now if self._assignments.lead() else None
            machines = len(self._context.ledger.live_machines())
            self._fleet_threads = self._threads * max(1, machines)
        return self._led is not None

    def resign(self) -> None:
        """Let another machine list."""
        if self._led is not None:
            self._assignments.resign()
            self._led = None

    def list_once(self) -> bool:
        """List the bucket and assign everything that is due, as fast as it is processed.

        Returns:
            Whether anything was due.

        Raises:
            ServiceUnavailable: The store or the database cannot be used.
        """  # noqa: DOC502  raised by store, assignments and ledger
        attempts = self._context.ledger.unfinished_attempts(self._context.pipeline.input)
        unseen, found = dict(attempts), False
        self._paused.begin_listing()
        self._slow.clear()  # listed again
        chunks = chain(self._listing.chunks(_CHUNK, self._state.note_fed), [[]])
        for chunk, following in pairwise(chunks):
            if not self.lead():
                return found
            for work in chunk:
                for upload in work.versions:
                    unseen.pop(upload, None)
            due = self._due(chunk)
            found |= bool(due)
            if not self._assign(due, len(following)):
                return found
        self._paused.end_listing(())
        if not self.lead():
            return found
        self._context.ledger.clear_attempts([*unseen])
        listed = (one for upload, one in attempts.items() if upload not in unseen)
        failed = (one.problem for one in listed if not one.is_undeletable)
        self._problem = next((problem for problem in failed if problem), None)
        return found

    def await_demand(self) -> None:
        """Wait while there is a queued task for each thread of the fleet: listing costs CPU.

        Raises:
            ServiceUnavailable: The database failed.
        """  # noqa: DOC502  raised by assignments
        until = time.monotonic() + _DEMAND_SECONDS
        while self.lead() and self._assignments.depth().queued >= self._fleet_threads:
            if self._state.is_ending or time.monotonic() >= until:
                return
            self._state.pause(_LOOK_SECONDS)

    def _due(self, chunk: Sequence[KeyUploads]) -> list[Due]:
        now, clock = time.monotonic(), datetime.now(UTC)
        works = []
        for work in chunk:
            for upload in work.versions:
                self._paused.note_listed(upload, now)
            self._paused.await_content(work, now, clock)
            awake = self._paused.awake(work, now)
            if awake.versions:
                works.append(awake)
        found = self._assignments.due(works, self._pauses) if works else []
        return [Due(work, attempts) for work, attempts in found]

    def _assign(self, due: Sequence[Due], following: int) -> bool:
        """Assign works as there is room in the queue; slow ones may be left in `_slow`.

        Args:
            due: The works.
            following: How many keys the listing shows next.

        Returns:
            Whether listing may go on.
        """
        for one in due:
            if one.is_slow and len(self._slow) < _MOST_SLOW:
                self._slow[one.work.key] = one
        quick = [one for one in due if not one.is_slow]
        limit = self._context.batch_uploads  # a whole batch: a task costs the workers 5 ms of CPU
        left = deque(bundles(quick, self._fleet_threads, limit, following))
        while left or self._slow:
            if self._state.is_ending or not self.lead():
                return False
            chosen = self._fitting(left)
            if chosen and not self._assignments.assign(chosen):
                self._led = None
                return False
            if not left:
                break
            self._state.pause(_LOOK_SECONDS)
        return True

    def _fitting(self, left: deque[Bundle]) -> list[Bundle]:
        """Take the bundles that the queue has room for; slow ones take half of the threads."""
        depth = self._assignments.depth()
        room = max(0, _QUEUED * self._fleet_threads - depth.queued)
        chosen = [left.popleft() for _ in range(min(room, len(left)))]
        room_slow = max(0, self._fleet_threads // 2 - depth.slow)
        # Not the first ones: those that fail again and again must not delay the last ones.
        for key in random.sample([*self._slow], min(room_slow, len(self._slow))):
            one = self._slow.pop(key)
            chosen.append(Bundle([one.work], one.attempts, is_slow=True))
        return chosen
