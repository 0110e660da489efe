"""Negate a GIF in its colour tables (GIF89a, sections 18 to 27); every other byte stays."""

from worker.errors import Verdict

_COMPLEMENT = bytes(range(255, -1, -1))
_HEADER = 13  # signature and logical screen descriptor
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B


def negate(data: bytes) -> bytes:
    """The same frames, delays, loop and transparency; negating twice gives the same bytes."""
    result = bytearray(data)
    try:
        has_table, at = _complement(result, data[10], _HEADER)
        while data[at] != _TRAILER:
            if data[at] == _EXTENSION:
                at = _after_blocks(data, at + 2)
            elif data[at] == _IMAGE:
                own_table, at = _complement(result, data[at + 9], at + 10)
                if not (has_table or own_table):
                    raise Verdict("a frame of the GIF has no colour table")
                at = _after_blocks(data, at + 1)  # the byte between is the LZW code size
            else:
                raise Verdict(f"the GIF has an unknown block at byte {at}")
    except IndexError:
        raise Verdict("the GIF ends too early") from None
    return bytes(result)


def _complement(data: bytearray, packed: int, at: int) -> tuple[bool, int]:
    """Negate the table that the packed field announces; return whether, and where it ends."""
    if not packed & 0x80:
        return False, at
    end = at + 3 * (2 << (packed & 7))
    data[at:end] = data[at:end].translate(_COMPLEMENT)
    return True, end


def _after_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1
