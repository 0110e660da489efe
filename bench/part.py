"""What a part of the bench is asked for, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.plot import Plot
from bench.table import Table


@dataclass(frozen=True)
class Request:
    """How to measure."""

    folder: Path  # empty; removed afterwards
    source: Path  # a copy of the worker's code with its kernels built, as a machine has it
    photos: Path  # a folder of photographs, below it too
    quick: bool
    machine: str  # of the local stack: process or container


@dataclass(frozen=True)
class Result:
    """What was measured."""

    tables: Sequence[Table]
    figures: Mapping[str, float]  # for the table of targets
    plots: Sequence[Plot] = field(default=())
    notes: Sequence[str] = field(default=())  # sentences: versions, what is missing
    details: Sequence[Table] = field(default=())  # folded in the document


class Part(Protocol):
    """A module in `bench/parts`."""

    TITLE: str
    TEXT: str  # what is measured and how, for the document

    def measure(self, request: Request) -> Result:
        """Take as long as it takes."""
