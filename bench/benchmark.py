"""What a benchmark gets and what it returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.plots import Plot
from bench.table import Table


@dataclass(frozen=True)
class Setup:
    """How to measure."""

    folder: Path  # empty, removed afterwards
    source: Path  # the worker's code with its kernels built, as on a machine
    photos: Path  # folder of photographs, of any depth
    quick: bool
    machine: str  # kind of machine of the local stack
    minutes: float = 1  # of `soak`
    count: int | None = None  # of objects, where it can be chosen; None for the usual one
    revision: str = ""  # that `compare` measures against


@dataclass(frozen=True)
class Result:
    """What was measured."""

    tables: Sequence[Table]
    figures: Mapping[str, float]  # for the table of targets
    plots: Sequence[Plot] = field(default=())
    notes: Sequence[str] = field(default=())  # sentences: versions, missing programs
    details: Sequence[Table] = field(default=())  # folded in the page


class Benchmark(Protocol):
    """A module in `bench/benchmarks`."""

    TITLE: str
    TEXT: str  # what is measured and how, for the page

    def measure(self, request: Setup) -> Result:
        """Run the benchmark."""
