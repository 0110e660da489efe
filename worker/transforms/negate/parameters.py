"""The parameters of `negate`."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Parameters:
    """Which pictures are taken.

    Attributes:
        formats: Further formats, which need packages of their own: `heic`.
    """

    formats: list[Literal["heic"]] = field(default_factory=list)
