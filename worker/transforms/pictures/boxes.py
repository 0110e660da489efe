"""Read and write the boxes of files of the ISO base media format (ISO/IEC 14496-12, 4.2).

JPEG 2000 files have them too (ISO/IEC 15444-1, annex I).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from worker.errors import InvalidInput

_HEADER, _LARGE_HEADER = 8, 16  # bytes
_LARGE = 1  # as a size: the size follows the type, with 8 bytes
_MAX_BOXES = 100_000


@dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
        kind: Its type, four bytes.
        whole: It with its header.
        content: It without.
    """

    kind: bytes
    whole: memoryview
    content: memoryview


def read(data: memoryview, name: str) -> Iterator[Box]:
    """Read boxes that follow one another.

    Args:
        data: The boxes.
        name: What has them, for messages.

    Yields:
        Each box.

    Raises:
        InvalidInput: A box is longer than the data.
    """
    at = 0
    for _ in range(_MAX_BOXES):
        if at == len(data):
            return
        header = _HEADER
        size, kind = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8])
        if size == _LARGE:
            header = _LARGE_HEADER
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:  # up to the end
            size = len(data) - at
        if size < header or at + size > len(data):
            raise InvalidInput(f"the {name} is truncated: a box is longer than what holds it")
        yield Box(kind, data[at : at + size], data[at + header : at + size])
        at += size
    raise InvalidInput(f"the {name} has more than {_MAX_BOXES:,} boxes")


def written(kind: bytes, *contents: bytes | memoryview) -> bytes:
    """Return a box with its header; only one of 4 GiB or more has a long header."""
    size = _HEADER + sum(map(len, contents))
    if size < 1 << 32:
        header = size.to_bytes(4, "big") + kind
    else:
        header = _LARGE.to_bytes(4, "big") + kind + (size + 8).to_bytes(8, "big")
    return b"".join((header, *contents))
