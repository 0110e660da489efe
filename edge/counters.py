"""Counters of a minute: what a camera generated, and how long confirmations took."""

import json
import statistics
from datetime import UTC, datetime

_P99 = 0.99


class Counters:
    """Counts until a minute ends; then says what was counted, and begins again.

    Args:
        minute: The minute that begins, as `minute_of` names it.
        qos: At 0, what does not arrive is lost.
    """

    def __init__(self, minute: str, qos: int) -> None:
        self.minute, self._qos = minute, qos
        self._last = 0
        self._begin(minute)

    def _begin(self, minute: str) -> None:
        self.minute = minute
        self._first = self._last + 1
        self._dropped = self._bytes = 0
        self._delays: list[float] = []

    def generated(self, number: int, size: int) -> None:
        """A picture of `size` bytes got a number, the next one."""
        self._last = number
        self._bytes += size

    def dropped(self) -> None:
        """A picture that has a number will not be sent."""
        self._dropped += 1

    def confirmed(self, seconds: float) -> None:
        """A picture was confirmed, `seconds` after it was taken by the device's monotonic clock."""
        self._delays.append(seconds)

    def end(self, now: datetime) -> bytes:
        """End the minute.

        Args:
            now: The device's clock, which may be wrong.

        Returns:
            Its counters as JSON: the numbers generated are `first` to `last`, none if `last` is
            less; delays are of the confirmations that arrived in it, null if there were none.
        """
        delays = sorted(self._delays)
        late = delays[min(len(delays) - 1, int(_P99 * len(delays)))] if delays else None
        counted = {
            "minute": self.minute,
            "first": self._first,
            "last": self._last,
            "generated": self._last - self._first + 1,
            "dropped": self._dropped,
            "bytes": self._bytes,
            "delay_median_ms": _milliseconds(statistics.median(delays) if delays else None),
            "delay_p99_ms": _milliseconds(late),
            "qos": self._qos,
            "clock": now.astimezone(UTC).isoformat(timespec="milliseconds"),
        }
        self._begin(minute_of(now))
        return json.dumps(counted).encode()


def minute_of(now: datetime) -> str:
    """Return a time's minute in UTC, such as `2026-11-28T16:40Z`."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)
