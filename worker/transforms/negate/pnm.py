"""Negate a PNM (netpbm's pbm, pgm and ppm) by Pillow; plain ones become binary ones."""

import re
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import pillow
from worker.transforms.negate.mapped_file import MappedFile

MAGIC = re.compile(rb"P[1-7Ff][\s#]")

# Comments may stand anywhere before the last header field (netpbm's pbm(5), pgm(5), ppm(5)).
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([1-6])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)")
_MAXVAL = re.compile(_GAP + rb"(\d+)")
_COMMENT = re.compile(rb"#[^\r\n]*")
_PADDING = re.compile(rb"[\s\0]*")
_BITMAPS, _PIXMAPS, _PLAIN = (1, 4), (3, 6), (1, 2, 3)
_MAX_HEADER_BYTES = 1 << 16
_ONE_BYTE, _TWO_BYTES = 255, 65535  # maxvals


def negate(file: MappedFile, target: Path, pixels: int) -> None:
    """Write the negative of a PNM.

    Raises InvalidInput if it is damaged or too large, or its depth or a second picture would be
    lost.

    Args:
        file: The PNM.
        target: Where the negative goes.
        pixels: The most pixels that it may have.
    """
    _check(file.data)
    pillow.negate(file.path, target, pixels, "PPM")


def _check(data: memoryview) -> None:
    beginning = bytes(data[:_MAX_HEADER_BYTES])
    header = _HEADER.match(beginning)
    if not header:
        raise InvalidInput("the PNM's header is damaged or of a kind other than P1 to P6")
    kind, width, height = (int(number) for number in header.groups())
    end, maxval = header.end(), 1
    if kind not in _BITMAPS:
        found = _MAXVAL.match(beginning, end)
        if not found:
            raise InvalidInput("the PNM's header has no maxval")
        end, maxval = found.end(), int(found[1])
        if kind in _PIXMAPS and maxval > _ONE_BYTE:
            raise InvalidInput(f"the PPM has more than 8 bits per channel (maxval {maxval})")
        if maxval not in (_ONE_BYTE, _TWO_BYTES):
            known = f"{_ONE_BYTE} and, for gray, {_TWO_BYTES}"
            raise InvalidInput(f"the PNM's maxval is {maxval}, of which only {known} would be kept")
    if kind in _PLAIN:
        if b"P" in _COMMENT.sub(b"", bytes(data[end:])):
            raise InvalidInput("the PNM has a second picture, which would be lost")
        return
    channels = 3 if kind in _PIXMAPS else 1
    bits = 1 if kind in _BITMAPS else 8 if maxval <= _ONE_BYTE else 16
    end += 1 + (width * channels * bits + 7) // 8 * height
    rest = _PADDING.match(data, end)
    if end < len(data) and rest and rest.end() < len(data):
        what = "a second picture" if data[rest.end()] == ord("P") else "data after its picture"
        raise InvalidInput(f"the PNM has {what}, which would be lost")
