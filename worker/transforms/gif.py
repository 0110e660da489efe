"""Negate a GIF in its colour tables (GIF89a, sections 18 to 27); every other byte stays.

Frames, delays, loop and transparency are kept, and negating twice gives the same bytes. The
compressed indices are not looked at. What follows the trailer is dropped; an XMP packet has its
previews negated.
"""

import re
from pathlib import Path

from worker.errors import Verdict
from worker.transforms import kernels, previews

_HEADER = 13  # signature and logical screen descriptor
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_XMP, _XMP_END = b"\x21\xff\x0bXMP DataXMP", b"\x01\xff\xfe"


def negate(source: Path, target: Path, pixels: int) -> bool:
    """Write the negative of source to target; Verdict where it is damaged or too large."""
    data = bytearray(source.read_bytes())
    width, height = (int.from_bytes(data[at : at + 2], "little") for at in (6, 8))
    if width * height > pixels:
        raise Verdict(f"it has more than {pixels} pixels")
    try:
        end = _complement_tables(data)
    except IndexError:
        raise Verdict("the GIF ends too early") from None
    with target.open("wb") as out:
        out.write(memoryview(data)[:end])
    return True


def _complement_tables(data: bytearray) -> int:
    """Negate in place; return where the trailer ends."""
    if not re.match(rb"GIF8[79]a", data):
        raise Verdict("the GIF's signature is damaged")
    has_table, at = _complement(data, data[10], _HEADER)
    frames = 0
    while data[at] != _TRAILER:
        if data[at] == _EXTENSION:
            end = kernels.gif_blocks(data, at + 2)
            if data.startswith(_XMP, at):
                data[at:end] = new = _negated_xmp(bytes(data[at:end]))
                end = at + len(new)
            at = end
        elif data[at] == _IMAGE:
            own_table, at = _complement(data, data[at + 9], at + 10)
            if not (has_table or own_table):
                raise Verdict("a frame of the GIF has no colour table")
            at = kernels.gif_blocks(data, at + 1)  # the byte between is the LZW code size
            frames += 1
        else:
            raise Verdict(f"the GIF has an unknown block at byte {at}")
    if not frames:
        raise Verdict("the GIF has no picture")
    return at + 1


def _complement(data: bytearray, packed: int, at: int) -> tuple[bool, int]:
    """Negate the table that the packed field announces; return whether, and where it ends."""
    if not packed & 0x80:
        return False, at
    end = at + 3 * (2 << (packed & 7))
    data[at:end] = data[at:end].translate(previews.COMPLEMENT)
    return True, end


def _negated_xmp(block: bytes) -> bytes:
    """XMP lies in a GIF as plain text before a trailer that ends its sub-blocks from any byte."""
    packet, mark, trailer = block[len(_XMP) :].partition(_XMP_END)
    return _XMP + previews.xmp(packet) + mark + trailer
