"""Where the works of a pass come from."""

from typing import Protocol

from worker.jobs.pass_state import PassState
from worker.jobs.schedule import Schedule
from worker.jobs.scheduler import Scheduler


class Source(Protocol):
    """Offers works to the threads of a pass: what it lists itself, or what it is assigned.

    Attributes:
        schedule: The times.
        lingers: Whether the pass waits for further uploads.
    """

    schedule: Schedule
    lingers: bool

    @property
    def problem(self) -> str | None:
        """What is wrong now, if anything, beside what the scheduler knows."""

    def open(self, state: PassState) -> Scheduler:
        """Prepare, and return the scheduler of the pass.

        Raises:
            ServiceUnavailable: The store or the database cannot be used.
        """

    def feed(self) -> bool:
        """Offer works until the pass is ending, or there have been none for a time.

        Returns:
            Whether there is work left.

        Raises:
            ServiceUnavailable: The store or the database cannot be used.
        """

    def note_ended(self) -> None:
        """Note that a thread has ended a batch or a deletion; called by that thread."""
