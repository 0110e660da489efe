"""Negate a GIF in its colour tables (GIF89a, sections 18 to 27); every other byte stays.

Frames, delays, loop and transparency are kept, and negating twice gives the same bytes. The
compressed indices are not looked at. What follows the trailer is dropped; an XMP packet has its
previews negated.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import kernels, previews
from worker.transforms.negate.mapped_file import MappedFile

_HEADER = 13  # signature and logical screen descriptor
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_XMP, _XMP_END = b"\x21\xff\x0bXMP DataXMP", b"\x01\xff\xfe"


def negate(source: Path, target: Path, pixels: int) -> bool:
    """Write the negative of source to target; InvalidInput where it is damaged or too large."""
    file = MappedFile(source)
    width, height = (int.from_bytes(file.data[at : at + 2], "little") for at in (6, 8))
    if width * height > pixels:
        raise InvalidInput(f"it has more than {pixels} pixels")
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
            raise InvalidInput("the GIF ends too early") from None
    return True


def _changes(data: memoryview) -> Iterator[tuple[int, int, bytes]]:
    """(first byte, end, what comes in their place) to the trailer; IndexError: it ends early."""
    at, frames = _HEADER, 0
    has_table = bool(data[10] & 0x80)
    if has_table:
        yield _table(data, at, data[10])
        at += 3 * (2 << (data[10] & 7))
    while data[at] != _TRAILER:
        if data[at] == _EXTENSION:
            end = kernels.gif_blocks(data, at + 2)
            if data[at : at + len(_XMP)] == _XMP:
                yield at, end, _negated_xmp(bytes(data[at:end]))
            at = end
        elif data[at] == _IMAGE:
            packed, at = data[at + 9], at + 10
            if packed & 0x80:
                yield _table(data, at, packed)
                at += 3 * (2 << (packed & 7))
            elif not has_table:
                raise InvalidInput("a frame of the GIF has no colour table")
            at = kernels.gif_blocks(data, at + 1)  # the byte between is the LZW code size
            frames += 1
        else:
            raise InvalidInput(f"the GIF has an unknown block at byte {at}")
    if not frames:
        raise InvalidInput("the GIF has no picture")
    yield at, at + 1, bytes([_TRAILER])


def _table(data: memoryview, at: int, packed: int) -> tuple[int, int, bytes]:
    end = at + 3 * (2 << (packed & 7))
    return at, end, bytes(data[at:end]).translate(previews.COMPLEMENT)


def _negated_xmp(block: bytes) -> bytes:
    """XMP lies in a GIF as plain text before a trailer that ends its sub-blocks from any byte."""
    packet, mark, trailer = block[len(_XMP) :].partition(_XMP_END)
    return _XMP + previews.xmp(packet) + mark + trailer
