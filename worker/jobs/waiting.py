"""Keys that wait for their oldest upload to be tried again, or to run alone."""

import heapq
from dataclasses import dataclass
from itertools import count
from math import inf

from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload


@dataclass(eq=False)
class Wait:
    """A key whose oldest upload was tried, or must run alone; newer ones wait for it.

    Attributes:
        work: All work for the key, as it was listed last.
        upload: The upload that was tried.
        until: When it is due.
        shown: The last listing that showed it.
        failures: How often it failed.
        crashes: If it must run alone, how often it crashed.
    """

    work: KeyUploads
    upload: Upload
    until: float
    shown: int
    failures: int = 0
    crashes: int | None = None

    def is_of(self, work: KeyUploads) -> bool:
        """Return whether the work still begins with the same upload."""
        return (self.work.withdrawn[:1], self.work.uploads[:1]) == (
            work.withdrawn[:1],
            work.uploads[:1],
        )


class Waiting:
    """The waits, by key and by due time."""

    def __init__(self) -> None:
        self._waits: dict[str, Wait] = {}
        self._timers: list[tuple[float, int, Wait]] = []  # a heap; some are no longer in _waits
        self._numbers = count()
        self.due: dict[str, Wait] = {}
        self.due_alone: dict[str, Wait] = {}

    def __contains__(self, key: str) -> bool:
        """Return whether a key waits."""
        return key in self._waits

    def get(self, key: str) -> Wait | None:
        """Return a key's wait, None if it does not wait."""
        return self._waits.get(key)

    def add(self, wait: Wait) -> None:
        """Add a key's wait."""
        self._waits[wait.work.key] = wait
        if wait.until < inf:
            heapq.heappush(self._timers, (wait.until, next(self._numbers), wait))

    def remove(self, wait: Wait) -> None:
        """Remove a wait."""
        for waits in (self._waits, self.due, self.due_alone):
            waits.pop(wait.work.key, None)

    def wake(self, now: float) -> None:
        """Move what is due to `due` and `due_alone`."""
        while self._timers and self._timers[0][0] <= now:
            *_, wait = heapq.heappop(self._timers)
            if self._waits.get(wait.work.key) is wait:
                due = self.due if wait.crashes is None else self.due_alone
                due[wait.work.key] = wait

    def not_shown(self, listing: int) -> list[Wait]:
        """Return the waits of keys that a listing has not shown."""
        return [wait for wait in self._waits.values() if wait.shown < listing]

    @property
    def next_due(self) -> float:
        """When the next one is due."""
        return self._timers[0][0] if self._timers else inf
