"""Negate a GIF by its color tables (GIF89a, sections 18 to 27); all other bytes stay.

Frames, delays, loops and transparency are kept, and negating twice gives the same bytes. The
compressed indices are not read. Content credentials and bytes after the trailer are dropped; an XMP
packet has its previews negated. Zeros between blocks and a missing trailer, which other programs
accept, stay as they are.
"""

import re
from array import array
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path

from worker.errors import InvalidInput
from worker.quantities import counted
from worker.transforms.negate import kernels, previews
from worker.transforms.negate.pixels import COMPLEMENT
from worker.transforms.negate.previews import Negated
from worker.transforms.negate.verification import check_equal
from worker.transforms.pictures import pixel_limit
from worker.transforms.pictures.mapped_file import Change, MappedFile

_HEADER_BYTES = 13  # signature and logical screen descriptor
_DESCRIPTOR_BYTES = 10  # of a frame, its introducer among them
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_ZEROS = re.compile(rb"\0*")
_CREDENTIALS = b"\x21\xff\x0bC2PA_GIF"  # C2PA 2.2, annex A.3
_XMP, _XMP_END = b"\x21\xff\x0bXMP DataXMP", b"\x01\xff\xfe"


class _Kind(Enum):
    """What a part of the file is, of those that are changed or compared."""

    TABLE = auto()
    XMP = auto()
    CREDENTIALS = auto()
    FRAME = auto()  # its image descriptor
    END = auto()  # the trailer and what follows


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a GIF.

    Args:
        file: The GIF.
        target: Where the negative goes.
        pixels: The most pixels that a frame may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: The GIF is damaged or too large.
    """
    width, height = (int.from_bytes(file.data[at : at + 2], "little") for at in (6, 8))
    pixel_limit.check(width * height, pixels)
    if not re.match(rb"GIF8[79]a", file.data):
        raise InvalidInput("the GIF's signature is damaged")
    negation = _Negation(file.data)
    with target.open("wb") as out:
        file.rewrite(negation.changes(), out)
    negation.check(MappedFile(target).data)
    return negation.notes


class _Negation:
    """One pass over a file's blocks.

    Attributes:
        notes: What was dropped or differs.
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._frames = array("Q")  # where their descriptors begin in the source
        self._copies = array("Q")  # and in the negative
        self._growth = 0  # bytes that the negative has more, up to here
        self.notes = list[str]()

    def changes(self) -> Iterator[Change]:
        """Yield the changes."""
        for kind, start, end in _parts(self._data):
            if kind == _Kind.FRAME:
                self._frames.append(start)
                self._copies.append(start + self._growth)
                continue
            if kind == _Kind.TABLE:
                new = bytes(self._data[start:end]).translate(COMPLEMENT)
            elif kind == _Kind.XMP:
                new, notes = _negated_xmp(bytes(self._data[start:end]))
                self.notes += notes
            elif kind == _Kind.CREDENTIALS:
                new = b""
                self.notes.append(previews.CREDENTIALS_NOTE)
            else:
                new = bytes(self._data[start : start + 1])  # the trailer, if there is one
                self.notes += _notes(end - start)
            self._growth += len(new) - (end - start)
            yield start, end, new

    def check(self, negative: memoryview) -> None:
        """Refuse a written negative that lacks frames, or whose frames are elsewhere."""
        check_equal("size", len(self._data) + self._growth, len(negative))
        for start, copy in zip(self._frames, self._copies, strict=True):
            source = self._data[start : start + _DESCRIPTOR_BYTES]
            check_equal("frames", source, negative[copy : copy + _DESCRIPTOR_BYTES])


def _notes(size_of_end: int) -> list[str]:
    if not size_of_end:
        return ["has no trailer, as its source"]
    return [f"dropped {counted(size_of_end - 1, 'byte')} after its end"] if size_of_end > 1 else []


def _parts(data: memoryview) -> Iterator[tuple[_Kind, int, int]]:
    """Yield the parts, where each begins and ends.

    Raises:
        InvalidInput: The GIF is truncated or damaged.
    """
    try:
        yield from _parts_of_whole(data)
    except IndexError:
        raise InvalidInput("the GIF is truncated") from None


def _parts_of_whole(data: memoryview) -> Iterator[tuple[_Kind, int, int]]:
    """Yield the parts; IndexError where the file is truncated."""
    at, frames = _HEADER_BYTES, 0
    has_table = bool(data[10] & 0x80)
    if has_table:
        end = at + _table_bytes(data[10])
        yield _Kind.TABLE, at, end
        at = end
    while True:
        zeros = _ZEROS.match(data, at)
        at = zeros.end() if zeros else at
        if (at == len(data) and frames) or data[at] == _TRAILER:
            break
        if data[at] == _EXTENSION:
            end = kernels.end_of_gif_blocks(data, at + 2)
            if data[at : at + len(_XMP)] == _XMP:
                yield _Kind.XMP, at, end
            elif data[at : at + len(_CREDENTIALS)] == _CREDENTIALS:
                yield _Kind.CREDENTIALS, at, end
            at = end
        elif data[at] == _IMAGE:
            flags, end = data[at + 9], at + _DESCRIPTOR_BYTES
            yield _Kind.FRAME, at, end
            at = end
            if flags & 0x80:
                end = at + _table_bytes(flags)
                yield _Kind.TABLE, at, end
                at = end
            elif not has_table:
                raise InvalidInput("a frame of the GIF has no color table")
            at = kernels.end_of_gif_blocks(data, at + 1)  # the byte between is the LZW code size
            frames += 1
        else:
            raise InvalidInput(f"the GIF has an unknown block at byte {at}")
    if not frames:
        raise InvalidInput("the GIF has no picture")
    yield _Kind.END, at, len(data)


def _table_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7))


def _negated_xmp(block: bytes) -> Negated:
    """Negate an XMP block: plain text, and a trailer in which every byte leads to the end."""
    packet, separator, trailer = block[len(_XMP) :].partition(_XMP_END)
    negated = previews.negate_xmp(packet)
    return Negated(_XMP + negated.data + separator + trailer, negated.notes)
