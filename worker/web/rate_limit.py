"""The rate of requests."""

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
