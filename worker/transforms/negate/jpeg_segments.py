"""Read the marker segments of JPEG files (ITU-T T.81, annex B)."""

from collections.abc import Iterator
from typing import NamedTuple

from worker.errors import InvalidInput

SOI = b"\xff\xd8"
#: The markers of frames (SOFn); DHT, JPG and DAC are between them.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SOS, APP0, APP1, APP2, APP13, APP14, COM = 0xDA, 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
MAX_CONTENT = 65533  # bytes of a segment without its length (B.1.1.4)
_RST0, _EOI = 0xD0, 0xD9

Buffer = bytes | bytearray | memoryview


class Segment(NamedTuple):
    """A marker segment and its position.

    Attributes:
        marker: The second byte of its marker.
        start: Its first byte.
        content: The first byte after its length.
        end: The first byte after it.
    """

    marker: int
    start: int
    content: int
    end: int


def read(data: Buffer) -> Iterator[Segment]:
    """Yield the segments up to and including the first scan's header.

    Args:
        data: A JPEG, from its SOI marker on.

    Yields:
        Each segment; fill bytes before it belong to it.

    Raises:
        InvalidInput: A segment is missing or invalid.
    """
    at = 2
    while True:
        start = at
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if len(data) < at + 4:
            raise InvalidInput("the JPEG is truncated")
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF or marker < 0xC0 or _RST0 <= marker <= _EOI or length < 2:  # noqa: PLR2004
            raise InvalidInput(f"the JPEG is damaged at byte {at}")
        content, at = at + 4, at + 2 + length
        if at > len(data):
            raise InvalidInput("the JPEG is truncated")
        yield Segment(marker, start, content, at)
        if marker == SOS:
            return
