"""What the threads of a pass share."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from worker.jobs.scheduler import Scheduler

# A thread that waits looks again after this time, which shows that it is alive.
_LOOK_SECONDS = 5


class PassState:
    """The bookkeeping of a pass, and whether it goes on.

    Attributes:
        changed: Its lock guards everything else; it is notified of changes.
        scheduler: Decides what is done next; set when the pass begins.
        counts: How many uploads ended in which way.
        is_ending: Whether all threads end after what they are doing.
        problem: What ended the pass, None if nothing did.
        fed: When the thread that offers works showed last that it is alive.
        heartbeat_due: Set to have a heartbeat written now.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.scheduler: Scheduler
        self.counts: Counter[str] = Counter()
        self.is_ending = False
        self.problem: str | None = None
        self.fed = time.monotonic()
        self.heartbeat_due = threading.Event()

    def end(self, problem: str | None = None) -> None:
        """Let all threads end after what they are doing; the first problem is kept."""
        with self.changed:
            self.problem = self.problem or problem
            self.is_ending = True
            self.changed.notify_all()

    def note_fed(self) -> None:
        """Note that the thread that offers works is alive."""
        with self.changed:
            self.fed = time.monotonic()

    def wait(self, condition: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait until a condition holds, the pass is ending, or a time is over.

        For the thread that offers works.

        Args:
            condition: Evaluated under the lock.
            seconds: The time, None for ever.
        """
        until = None if seconds is None else time.monotonic() + seconds
        with self.changed:
            while not (self.is_ending or condition()):
                now = self.fed = time.monotonic()
                left = _LOOK_SECONDS if until is None else min(_LOOK_SECONDS, until - now)
                if left <= 0:
                    return
                self.changed.wait(left)

    def pause(self, seconds: float) -> None:
        """Wait until a time is over, or the pass is ending; for the thread that offers works."""
        self.wait(lambda: False, seconds)

    def is_idle(self) -> bool:
        """Return whether nothing is running, queued or due, and nothing is to be deleted."""
        with self.changed:
            return self.scheduler.is_idle(time.monotonic())
