"""Read the marker segments of JPEG files (ITU-T T.81, annex B)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from worker.errors import InvalidInput

SOI = b"\xff\xd8"
DHT, SOS, APP0, APP1, APP2, APP11, APP13, COM = 0xC4, 0xDA, 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xFE
MAX_CONTENT = 65533  # bytes of a segment without its length (B.1.1.4)
#: The signature of an APP1 segment with XMP (XMP specification, part 3, 1.1.3).
XMP = b"http://ns.adobe.com/xap/1.0/\0"
_DHP = 0xDE
# The markers of frames (table B.1), and SOF55 of JPEG-LS (T.87); DHT, JPG and DAC are between them.
_KINDS = {
    0xC0: "baseline",
    0xC1: "extended sequential",
    0xC2: "progressive",
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "hierarchical lossless",
    0xC9: "arithmetic-coded",
    0xCA: "arithmetic-coded progressive",
    0xCB: "arithmetic-coded lossless",
    0xCD: "arithmetic-coded hierarchical",
    0xCE: "arithmetic-coded hierarchical",
    0xCF: "arithmetic-coded hierarchical lossless",
    0xF7: "JPEG-LS",
}
#: The markers of frames that jpeg.c negates: Huffman-coded, sequential or progressive.
SUPPORTED_FRAMES = (0xC0, 0xC1, 0xC2)
_MARKER = re.compile(rb"(?:[^\xff]++|\xff++[\0\x01\xd0-\xd7])*+\xff++([\xc0-\xcf\xda-\xfe])")
_PREFIX = 0xFF
_WITH_SEGMENT = frozenset((*range(0xC0, 0xD0), *range(0xDA, 0xFF)))
_MAX_STRAY = 1 << 20  # bytes between segments

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


@dataclass(frozen=True)
class Frame:
    """The header of a frame (B.2.2).

    Attributes:
        marker: SOFn.
        bits: Of each sample.
        height: In lines; 0: a DNL segment follows the first scan.
        width: In samples.
        components: Identifier, sampling factors and quantization table of each.
    """

    marker: int
    bits: int
    height: int
    width: int
    components: tuple[bytes, ...]

    @property
    def kind(self) -> str:
        """What people call this kind of JPEG, with its marker."""
        name = _KINDS[self.marker]
        return f"{name}{'' if 'JPEG' in name else ' JPEG'} (SOF{self.marker - 0xC0})"


def read(data: Buffer) -> Iterator[Segment]:
    """Yield the segments up to and including the first scan's header.

    Args:
        data: A JPEG, from its SOI marker on.

    Yields:
        Each segment; bytes before it, which libjpeg skips as well, belong to it: fill bytes
            (B.1.1.2), markers without a segment, or stray ones.

    Raises:
        InvalidInput: A segment is missing or invalid.
    """
    at, stray, size = 2, 0, len(data)
    while True:
        if at + 4 > size:
            raise InvalidInput("the JPEG is truncated")
        marker, after = data[at + 1], at + 2
        # A marker nearly always follows at once; the pattern also skips fill and stray bytes.
        if data[at] != _PREFIX or marker not in _WITH_SEGMENT:
            found = _MARKER.match(data, at, at + _MAX_STRAY)
            if not found:
                raise InvalidInput(f"the JPEG is damaged at byte {at}")
            marker, after = found[1][0], found.end()
            stray += after - 2 - at
        content = after + 2
        length = int.from_bytes(data[after:content], "big")
        end = after + length
        if length < 2 or stray > _MAX_STRAY:  # noqa: PLR2004
            raise InvalidInput(f"the JPEG is damaged at byte {after}")
        if end > size:
            raise InvalidInput("the JPEG is truncated")
        yield Segment(marker, at, content, end)
        if marker == SOS:
            return
        at = end


def read_frame(data: Buffer) -> Frame:
    """Return the header of a JPEG's first frame.

    Args:
        data: The JPEG.

    Returns:
        The header.

    Raises:
        InvalidInput: The segments before it are damaged, or there is none.
    """
    for marker, _, at, end in read(data):
        if marker == _DHP:
            raise InvalidInput("hierarchical JPEG (DHP) is not supported")
        if marker in _KINDS:
            content = bytes(data[at:end])
            if len(content) < 6 or len(content) < 6 + 3 * content[5]:  # noqa: PLR2004
                raise InvalidInput(f"the JPEG's frame header is damaged at byte {at}")
            components = (content[i : i + 3] for i in range(6, 6 + 3 * content[5], 3))
            height, width = (int.from_bytes(content[i : i + 2], "big") for i in (1, 3))
            return Frame(marker, content[0], height, width, tuple(components))
    raise InvalidInput("the JPEG has no frame before its first scan")
