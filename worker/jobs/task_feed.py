"""The bundles that a machine gets from the queue: offered to its threads, then finished."""

import time
from datetime import UTC, datetime

from worker.dispatch.task_queue import Assigned
from worker.jobs.pass_state import PassState
from worker.jobs.scheduler import problem_of_missing
from worker.ledger.ledger import Ledger


class TaskFeed:
    """Offers bundles to the scheduler, and finishes their tasks.

    A task is finished as soon as each of its keys was tried, however that ended: what failed is in
    the ledger, what is being deleted is leased, and the lister lists what is left again.

    Args:
        ledger: The pipeline's ledger.
        bucket: The pipeline's input bucket. Works of another one, assigned before the settings were
            changed, are left alone.
        state: The pass's.
    """

    def __init__(self, ledger: Ledger, bucket: str, state: PassState) -> None:
        self._ledger, self._bucket, self._state = ledger, bucket, state
        self._unfinished: list[Assigned] = []

    @property
    def is_empty(self) -> bool:
        """Whether no task is unfinished."""
        return not self._unfinished

    def receive(self, assigned: Assigned) -> None:
        """Take a bundle; called by the queue's thread."""
        bundle, state = assigned.bundle, self._state
        now, clock = time.monotonic(), datetime.now(UTC)
        with state.changed:
            for work in bundle.works:
                if work.versions[0].bucket == self._bucket:
                    state.scheduler.assign(work, bundle.attempts, now, clock)
            is_settled = self._is_settled(assigned)
            if not is_settled:
                self._unfinished.append(assigned)
            state.changed.notify_all()
        if is_settled:
            assigned.finish()

    def finish_settled(self) -> None:
        """Finish the tasks that are settled.

        Raises:
            ServiceUnavailable: The database failed.
        """  # noqa: DOC502  raised by the ledger
        scheduler = self._state.scheduler
        with self._state.changed:
            settled = [one for one in self._unfinished if self._is_settled(one)]
            for one in settled:
                self._unfinished.remove(one)
            works = [work for one in settled for work in one.bundle.works]
            missing = [upload for work in works for upload in scheduler.forget(work)]
        self._ledger.fail({upload: problem_of_missing(upload) for upload in missing})
        for one in settled:
            one.finish()

    def _is_settled(self, assigned: Assigned) -> bool:
        return all(self._state.scheduler.is_settled(work.key) for work in assigned.bundle.works)
