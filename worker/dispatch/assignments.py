"""The interface of the assignments, implemented by PostgreSQL and, for tests, in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.dispatch.bundle import Bundle
from worker.ledger.ledger import Attempt
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

#: How long a machine is the lister unless it renews that, in seconds of the database's clock.
LISTER_SECONDS = 10
#: Age of a machine's heartbeat in the queue after which its tasks are void, in seconds.
STALLED_SECONDS = 30
#: How long recorded uploads are left alone: a listing may show what was deleted meanwhile.
RECORDED_SECONDS = 10


@dataclass(frozen=True)
class Depth:
    """What a pipeline's queue holds.

    Attributes:
        queued: Tasks that no machine has begun.
        running: Tasks that a machine has begun and not ended.
        slow: The slow ones among both.
    """

    queued: int = 0
    running: int = 0
    slow: int = 0


@dataclass(frozen=True)
class Pauses:
    """When uploads that were tried before are tried again.

    Attributes:
        after: Returns the seconds after the nth failure in a row.
        refused: The seconds after the store refused to delete an upload.
    """

    after: Callable[[int], float]
    refused: float


class Assignments(Protocol):
    """Which listed keys of a pipeline are assigned to machines, as seen by one machine.

    Every method may be called from several threads and raises ServiceUnavailable if the database
    fails.
    """

    def lead(self) -> bool:
        """Become the lister, or stay it, for `LISTER_SECONDS`; return whether this one is it."""

    def resign(self) -> None:
        """Let another machine become the lister at once."""

    def due(
        self, works: Sequence[KeyUploads], pauses: Pauses
    ) -> list[tuple[KeyUploads, dict[Upload, Attempt]]]:
        """Return the works that a machine may begin now.

        Left out are keys that are assigned or leased, also by this machine, or were recorded during
        the last `RECORDED_SECONDS`, or whose tried upload is paused, and uploads whose deletion the
        store refused lately.

        Args:
            works: At most about 1,000 of a listing.
            pauses: When uploads that were tried before are due again.

        Returns:
            Each work, perhaps without some uploads, and what is known about those that were tried.
        """

    def assign(self, bundles: Sequence[Bundle]) -> bool:
        """Assign works, all or none.

        Returns:
            Whether this machine is still the lister; if not, nothing was assigned.
        """

    def depth(self) -> Depth:
        """Return what the queue holds, after deleting tasks that no machine will end."""


def without_paused(
    work: KeyUploads, attempts: Mapping[Upload, Attempt], pauses: Pauses
) -> KeyUploads | None:
    """Return what a machine may begin now of a work, None if nothing (see `Scheduler.offer`).

    Args:
        work: The work.
        attempts: What is known about its uploads.
        pauses: When uploads that were tried before are due again.
    """
    refused = {
        upload
        for upload, attempt in attempts.items()
        if attempt.is_undeletable and attempt.seconds < pauses.refused
    }
    withdrawn = [] if refused.intersection(work.withdrawn) else work.withdrawn
    uploads = [one for one in work.uploads if one not in refused]
    left = work.reduced(withdrawn, uploads)
    if not left.versions:
        return None
    known = [attempts[one] for one in left.versions if one in attempts]
    tried = [one for one in known if not one.is_undeletable]
    first = next((one for one in tried if one.is_suspect), next(iter(tried), None))
    if first and first.problem is not None and first.seconds < pauses.after(first.failures):
        return None
    return left
