"""What a plot shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bars:
    """A bar each, in groups; a value is (middle, least, most)."""

    name: str
    title: str
    unit: str
    groups: Mapping[str, Mapping[str, tuple[float, float, float]]]  # group: series: value
    base: float = 1.0  # where bars begin, on a logarithmic axis


@dataclass(frozen=True)
class Lines:
    """Points joined; x and y of each series."""

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    logarithmic: bool = False  # x


Plot = Bars | Lines
