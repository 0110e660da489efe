"""Transforms by name. Each is a module of this package, imported when it is first needed."""

from collections.abc import Mapping
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast


class Transform(StrEnum):
    """The transforms there are; the value is also the module's name."""

    NEGATE = "negate"


class TransformModule(Protocol):
    """What a transform's module offers."""

    def output_key(self, key: str, /) -> str:
        """The result's object key, from the input's."""

    def apply(self, source: Path, target: Path, parameters: Mapping[str, int], /) -> str:
        """Write the result of source to target and return its content type.

        Raises InvalidInput where the file itself cannot be transformed, UploadDeferred where it
        must wait for parts of the transform that this machine has not built yet.
        """

    def prepare(self) -> str | None:
        """Build what the transform runs faster or better with; a sentence where that failed."""


def load(name: str) -> TransformModule:
    """The module of a transform."""
    return cast("TransformModule", import_module(f"{__name__}.{Transform(name)}"))
