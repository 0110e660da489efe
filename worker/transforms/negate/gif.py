"""Negate a GIF by its color tables (GIF89a, sections 18 to 27); all other bytes stay.

Frames, delays, loops and transparency are kept, and negating twice gives the same bytes. The
compressed indices are not read. Bytes after the trailer are dropped; an XMP packet has its previews
negated. Zeros between blocks and a missing trailer, which other programs accept, stay as they are.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import kernels, previews
from worker.transforms.negate.pixels import COMPLEMENT
from worker.transforms.negate.previews import Negated
from worker.transforms.negate.verification import check_equal
from worker.transforms.pictures import pixel_limit
from worker.transforms.pictures.mapped_file import Change, MappedFile

_HEADER_BYTES = 13  # signature and logical screen descriptor
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_ZEROS = re.compile(rb"\0*")
_XMP, _XMP_END = b"\x21\xff\x0bXMP DataXMP", b"\x01\xff\xfe"


class _Kind(Enum):
    """What a part of the file is, of those that are changed or compared."""

    TABLE = auto()
    XMP = auto()
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
    with target.open("wb") as out:
        file.rewrite(_changes(file.data), out)
    result, notes, size_of_end = MappedFile(target).data, list[str](), 0
    check_equal("header", file.data[:_HEADER_BYTES], result[:_HEADER_BYTES])
    for (kind, start, end), found in zip(_parts(file.data), _parts(result), strict=False):
        check_equal("blocks", kind, found[0])
        if kind == _Kind.FRAME:
            check_equal("frames", file.data[start:end], result[found[1] : found[2]])
        elif kind == _Kind.XMP:
            notes += _negated_xmp(bytes(file.data[start:end])).notes
        size_of_end = end - start
    return notes + _notes(size_of_end)


def _notes(size_of_end: int) -> list[str]:
    if not size_of_end:
        return ["has no trailer, as its source"]
    return [f"dropped {size_of_end - 1} bytes after its end"] if size_of_end > 1 else []


def _changes(data: memoryview) -> Iterator[Change]:
    for kind, start, end in _parts(data):
        if kind == _Kind.TABLE:
            yield start, end, bytes(data[start:end]).translate(COMPLEMENT)
        elif kind == _Kind.XMP:
            yield start, end, _negated_xmp(bytes(data[start:end])).data
        elif kind == _Kind.END:
            yield start, end, bytes(data[start : start + 1])


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
            at = end
        elif data[at] == _IMAGE:
            flags, end = data[at + 9], at + 10
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
