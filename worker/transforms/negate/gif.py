"""Negate a GIF by its color tables (GIF89a, sections 18 to 27); all other bytes stay.

Frames, delays, loops and transparency are kept, and negating twice gives the same bytes. The
compressed indices are not read. Bytes after the trailer are dropped; an XMP packet has its previews
negated.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import kernels, previews
from worker.transforms.negate.pixels import COMPLEMENT
from worker.transforms.pictures import pixel_limit
from worker.transforms.pictures.mapped_file import MappedFile

_HEADER_BYTES = 13  # signature and logical screen descriptor
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_XMP, _XMP_END = b"\x21\xff\x0bXMP DataXMP", b"\x01\xff\xfe"

#: A part of the file and what replaces it: first byte, end, new bytes.
_Change = tuple[int, int, bytes]


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
    done = 0
    with target.open("wb") as out:
        try:
            for start, end, new in _changes(file.data):
                file.copy(done, start, out)
                out.write(new)
                done = end
        except IndexError:
            raise InvalidInput("the GIF is truncated") from None
    return []


def _changes(data: memoryview) -> Iterator[_Change]:
    """Yield the changes up to the trailer; IndexError where the file is truncated."""
    at, frames = _HEADER_BYTES, 0
    has_table = bool(data[10] & 0x80)
    if has_table:
        yield _table(data, at, data[10])
        at += 3 * (2 << (data[10] & 7))
    while data[at] != _TRAILER:
        if data[at] == _EXTENSION:
            end = kernels.end_of_gif_blocks(data, at + 2)
            if data[at : at + len(_XMP)] == _XMP:
                yield at, end, _negated_xmp(bytes(data[at:end]))
            at = end
        elif data[at] == _IMAGE:
            flags, at = data[at + 9], at + 10
            if flags & 0x80:
                yield _table(data, at, flags)
                at += 3 * (2 << (flags & 7))
            elif not has_table:
                raise InvalidInput("a frame of the GIF has no color table")
            at = kernels.end_of_gif_blocks(data, at + 1)  # the byte between is the LZW code size
            frames += 1
        else:
            raise InvalidInput(f"the GIF has an unknown block at byte {at}")
    if not frames:
        raise InvalidInput("the GIF has no picture")
    yield at, at + 1, bytes([_TRAILER])


def _table(data: memoryview, at: int, flags: int) -> _Change:
    end = at + 3 * (2 << (flags & 7))
    return at, end, bytes(data[at:end]).translate(COMPLEMENT)


def _negated_xmp(block: bytes) -> bytes:
    """Negate an XMP block: plain text, and a trailer in which every byte leads to the end."""
    packet, separator, trailer = block[len(_XMP) :].partition(_XMP_END)
    return _XMP + previews.negate_xmp(packet).data + separator + trailer
