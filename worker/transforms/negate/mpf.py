"""Update the index of multi-picture JPEG files (CIPA DC-007, MPF)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from worker.transforms.negate import jpeg_segments
from worker.transforms.negate.jpeg_segments import APP2, SOS

_SIGNATURE = b"MPF\0"
_MP_ENTRY, _ENTRY_BYTES = 0xB002, 16  # the tag of the entries; bytes of a picture's entry


@dataclass(frozen=True)
class Move:
    """Where a picture was in the source, and where it is in the result, in bytes."""

    old_start: int
    old_length: int
    new_start: int
    new_length: int


def update(data: memoryview, head: bytes, moves: list[Move], out: BinaryIO) -> list[str]:
    """Write the new offsets and sizes into the result's index; blank it if a picture is missing.

    Args:
        data: The source.
        head: The result's segments before its first scan.
        moves: The pictures that are in the result.
        out: The result; its index is overwritten in place.

    Returns:
        Notes.
    """
    new = _find(head) if _SIGNATURE in head else None
    old = _find(data) if new else None
    if not (old and new):
        return []
    tiff = bytearray(data[old[0] : old[1]])
    places, notes = {move.old_start: move for move in moves}, list[str]()
    try:
        for at, order in _entries(tiff):
            # Offsets count from the index; the first picture's is 0 (5.2.3.3).
            offset = int.from_bytes(tiff[at + 8 : at + 12], order)
            move = places[old[0] + offset if offset else 0]
            start = move.new_start - new[0] if move.new_start else 0
            tiff[at + 4 : at + 8] = move.new_length.to_bytes(4, order)
            tiff[at + 8 : at + 12] = start.to_bytes(4, order)
    except (KeyError, OverflowError):  # a picture that is not in the result
        tiff = bytearray(len(tiff))
        notes.append("the index of further pictures (MPF) was blanked: one of them is missing")
    out.seek(new[0])
    out.write(tiff)
    return notes


def _find(data: memoryview | bytes) -> tuple[int, int] | None:
    """Return where the index, from its TIFF header on, begins and ends."""
    for segment in jpeg_segments.read(data):
        if segment.marker == SOS or segment.content >= len(data):
            break
        if segment.marker == APP2 and data[segment.content : segment.content + 4] == _SIGNATURE:
            return segment.content + 4, segment.end
    return None


def _entries(tiff: bytearray) -> Iterator[tuple[int, Literal["little", "big"]]]:
    """Yield the first byte of each picture's entry, and the byte order."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    first = number(4, 4)
    for field in range(number(first, 2)):
        at = first + 2 + 12 * field
        if number(at, 2) == _MP_ENTRY:
            start, size = number(at + 8, 4), number(at + 4, 4)
            for entry in range(
                start, min(start + size, len(tiff) - _ENTRY_BYTES + 1), _ENTRY_BYTES
            ):
                yield entry, order
