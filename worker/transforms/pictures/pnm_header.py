"""Read the header of a PNM (netpbm's pbm, pgm and ppm), and what follows its picture."""

import re
from dataclasses import dataclass

from worker.errors import InvalidInput

# Comments may stand anywhere before the last header field (netpbm's pbm(5), pgm(5), ppm(5)).
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([1-6])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)")
_MAXVAL = re.compile(_GAP + rb"(\d+)")
_COMMENT = re.compile(rb"#[^\r\n]*")
_PADDING = re.compile(rb"[\s\0]*")
_BITMAPS, _PIXMAPS, _PLAIN = (1, 4), (3, 6), (1, 2, 3)
_MAX_HEADER_BYTES = 1 << 16
_ONE_BYTE = 255  # the largest maxval of samples of one byte


@dataclass(frozen=True)
class Header:
    """A PNM's header.

    Attributes:
        is_color: Whether it is a pixmap.
        maxval: The largest value of a sample; None for a bitmap.
        surplus: What follows the picture, in words; "" if nothing does.
    """

    is_color: bool
    maxval: int | None
    surplus: str


def read(data: memoryview) -> Header:
    """Read the header of a PNM; raises InvalidInput if it is damaged."""
    beginning = bytes(data[:_MAX_HEADER_BYTES])
    header = _HEADER.match(beginning)
    if not header:
        raise InvalidInput("the PNM's header is damaged or of a kind other than P1 to P6")
    kind, width, height = (int(number) for number in header.groups())
    end, maxval = header.end(), None
    if kind not in _BITMAPS:
        found = _MAXVAL.match(beginning, end)
        if not found:
            raise InvalidInput("the PNM's header has no maxval")
        end, maxval = found.end(), int(found[1])
    if kind in _PLAIN:
        has_another = b"P" in _COMMENT.sub(b"", bytes(data[end:]))
        return Header(kind in _PIXMAPS, maxval, "a second picture" if has_another else "")
    channels = 3 if kind in _PIXMAPS else 1
    bits = 1 if maxval is None else 8 if maxval <= _ONE_BYTE else 16
    end += 1 + (width * channels * bits + 7) // 8 * height
    rest, surplus = _PADDING.match(data, end), ""
    if end < len(data) and rest and rest.end() < len(data):
        is_picture = data[rest.end()] == ord("P")
        surplus = "a second picture" if is_picture else "data after its picture"
    return Header(kind in _PIXMAPS, maxval, surplus)
