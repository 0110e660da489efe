"""Check PNM files (netpbm's pbm, pgm and ppm) for what Pillow would drop or round."""

import re

from worker.errors import InvalidInput

# Comments may stand anywhere before the last header field (netpbm's man pages, pbm(5) and others).
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
#: What Pillow takes for a PNM, by its first bytes.
MAGIC = re.compile(rb"P[0-7fFyP]")
_HEADER = re.compile(rb"P([1-6])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)")
_MAXVAL = re.compile(_GAP + rb"(\d+)")
_COMMENT = re.compile(rb"#[^\r\n]*")
_BITMAPS, _PIXMAPS = (1, 4), (3, 6)
_PADDING = re.compile(rb"[\s\0]*")
_LONGEST_HEADER = 1 << 16


def check(data: memoryview) -> None:
    """Refuse, with an InvalidInput, a depth that would not be kept and a second picture."""
    beginning = bytes(data[:_LONGEST_HEADER])
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
        if kind in _PIXMAPS and maxval > 255:  # noqa: PLR2004
            raise InvalidInput(f"the PPM has more than 8 bits per channel (maxval {maxval})")
        if maxval not in (255, 65535):
            raise InvalidInput(
                f"the PNM's maxval is {maxval}: only 255 and, for gray, 65535 are kept"
            )
    if kind <= 3:  # noqa: PLR2004  plain: the samples are text
        if b"P" in _COMMENT.sub(b"", bytes(data[end:])):
            raise InvalidInput("the PNM has a second picture, which would be lost")
        return
    row = (width + 7) // 8 if kind == 4 else width * (2 if maxval > 255 else 1)  # noqa: PLR2004
    end += 1 + row * height * (3 if kind in _PIXMAPS else 1)
    rest = _PADDING.match(data, end)
    if end < len(data) and rest and rest.end() < len(data):
        what = "a second picture" if data[rest.end()] == ord("P") else "data after its picture"
        raise InvalidInput(f"the PNM has {what}, which would be lost")
