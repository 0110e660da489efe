"""The registry of transforms, and the protocol that each of them implements.

A transform is a package in this folder. Settings, the bootstrap and the worker's parent process
import this module only, with the standard library alone; `load` is for the sandboxed child, which
then needs whatever the transform needs.
"""

from collections.abc import Mapping
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast


class TransformName(StrEnum):
    """The known transforms; each value is also the name of the transform's package."""

    NEGATE = "negate"


#: How results are named; `{name}` is the last part of the input's key.
_OUTPUT_NAMES = {TransformName.NEGATE: "negated_{name}"}


class Transform(Protocol):
    """What a transform's package offers."""

    def apply(self, source: Path, target: Path, parameters: Mapping[str, int], /) -> str:
        """Write the result of a file.

        Args:
            source: The input.
            target: Where the result goes; undefined content after an error.
            parameters: `pixels`: the most pixels that the input may have.

        Returns:
            The result's content type.

        Raises:
            InvalidInput: The input cannot be transformed, or not without losing data.
            UploadDeferred: Parts of the transform that the input needs are not built yet.
        """

    def prepare(self) -> str | None:
        """Build the compiled parts that are missing.

        Returns:
            None, or a sentence that says why the transform runs without them.
        """


def load(name: str) -> Transform:
    """Import a transform."""
    return cast("Transform", import_module(f"{__name__}.{TransformName(name)}"))


def output_key(transform: str, key: str) -> str:
    """Name the result of an input; the key's prefix is kept, so that results do not collide."""
    prefix, slash, name = key.rpartition("/")
    return prefix + slash + _OUTPUT_NAMES[TransformName(transform)].format(name=name)
