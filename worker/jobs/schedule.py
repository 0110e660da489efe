"""The times of a pass."""

from dataclasses import dataclass, replace
from math import inf

_MAX_DOUBLINGS = 20


@dataclass(frozen=True)
class Schedule:
    """The times of a pass, in seconds.

    Attributes:
        pause: The shortest and the longest pause between two listings; random, so that machines do
            not list in step.
        heartbeat: The longest time between two heartbeats.
        retries: Whether failed uploads are tried again; otherwise a pass tries each once.
        searches: Whether newer uploads of a key wait for one that is listed and not found.
        retry: The first and the longest pause before a failed upload is tried again; it doubles.
        held: How long an upload that another machine works on is left alone.
        refused: How long one is left alone that the store refuses to delete.
        patience: How long an upload that must run alone waits before nothing else is started.
        grace: How long an upload stays at least, from when it was listed first. Its Last-Modified
            cannot be later, unless it is wrong: rclone's server shows what a client has set.
        empty: How long an empty object waits for its content.
        settle: The shortest time between two requests that delete several uploads.
    """

    pause: tuple[float, float] = (0.5, 1.5)
    heartbeat: float = 5
    retries: bool = True
    searches: bool = True
    retry: tuple[float, float] = (1, 300)
    held: float = 10
    refused: float = 3600
    patience: float = 30
    grace: float = 0
    empty: float = 60
    settle: float = 0.25

    @property
    def once(self) -> "Schedule":
        """The times of a pass that tries each upload once."""
        return replace(self, retries=False, searches=False)

    @property
    def of_tasks(self) -> "Schedule":
        """The times of a machine that gets its works from a lister, which waits and tries again."""
        return replace(self, retries=False, held=inf, empty=0)

    def pause_after(self, failures: int) -> float:
        """Return the pause after an upload has failed for the nth time in a row, n from 1."""
        if not self.retries:
            return inf
        first, longest = self.retry
        return min(first * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), longest)
