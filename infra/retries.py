"""Retry policies as values: how often something is tried, and how long between."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retries:
    """Pauses that grow from `first` by `factor` to at most `longest` seconds.

    Attributes:
        attempts: How many pauses there are; None for as many as the caller takes.
    """

    first: float
    factor: float
    longest: float
    attempts: int | None = None

    def pauses(self) -> Iterator[float]:
        """Yield the seconds to wait before each next attempt."""
        pause, number = self.first, 0
        while self.attempts is None or number < self.attempts:
            yield pause
            pause, number = min(pause * self.factor, self.longest), number + 1
