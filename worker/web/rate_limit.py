"""The rate of requests, and of the bytes of their bodies."""

import math
import time
from collections.abc import Callable

_MINUTE = 60


class RateLimit:
    """Admits so many requests in a minute, at first all of them at once (a token bucket).

    Args:
        per_minute: The number.
        clock: Returns a time in seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left, self._since = float(per_minute), clock()

    def admit(self) -> int:
        """Return 0 if one more request is admitted, else in how many seconds to try again."""
        now = self._clock()
        refilled = self._left + (now - self._since) * self._per_minute / _MINUTE
        self._left, self._since = min(refilled, self._per_minute), now
        if self._left < 1:
            return math.ceil((1 - self._left) * _MINUTE / self._per_minute)
        self._left -= 1
        return 0


class MinimumRate:
    """The rate at which something must arrive, whole periods averaged.

    Attributes:
        per_second: Bytes.
        seconds: Of a period.
    """

    per_second, seconds = 1000, _MINUTE

    def __init__(self) -> None:
        self._count, self._waited = 0, 0.0

    def is_missed(self, count: int, waited: float) -> bool:
        """Return whether a period ends with too little.

        Args:
            count: Bytes that have arrived.
            waited: Seconds that they took.
        """
        self._count, self._waited = self._count + count, self._waited + waited
        if self._waited < self.seconds:
            return False
        is_missed = self._count < self.per_second * self._waited
        self._count, self._waited = 0, 0.0
        return is_missed
