"""A job that this machine works on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.jobs.fetch import Fetched
from worker.ledger.ledger import Lease, Started
from worker.ledger.runs import Gather
from worker.uploads.job import Job


@dataclass(frozen=True)
class Task:
    """A job whose key is leased.

    Attributes:
        source: Its input.
        job: The job.
        started: What the ledger returned when it was started.
        is_superfluous: Whether its upload is a further copy of a result.
        check_lease: Raises LeaseLost once another machine may have taken the key over; called
            before each request that writes.
        gather: If its pipeline gathers, what the ledger says that it gathers.
        began: When its processing began after the download, by `time.monotonic`.
    """

    source: Fetched
    job: Job
    started: Started
    is_superfluous: bool
    check_lease: Callable[[], None]
    gather: Gather | None = None
    began: float = 0

    @property
    def key(self) -> str:
        """The key after which its results are named."""
        return self.gather.key if self.gather else self.job.upload.key

    def seconds(self) -> float:
        """Return how long it has taken so far, with its download."""
        return round(self.source.seconds + time.monotonic() - self.began, 3)

    @property
    def lease(self) -> Lease:
        """The lease of its key."""
        return Lease(self.job.upload.key, self.started.fence)
