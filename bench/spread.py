"""Text for measured values of several turns."""

from collections.abc import Sequence
from statistics import median


def least_to_largest(values: Sequence[float], digits: int = 2) -> str:
    """Return the least and the largest of some values, with so many digits after the point."""
    return f"{min(values):.{digits}f}–{max(values):.{digits}f}"


def with_spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median of some values, followed by the least and the largest."""
    return f"{median(values):.{digits}f} ({least_to_largest(values, digits)})"
