"""Read the headers of a PNM or PAM file (netpbm's pbm(5), pgm(5), ppm(5), pam(5))."""

import re
from dataclasses import dataclass, field

from worker.errors import InvalidInput

PAM = 7
_BITMAPS, _PIXMAPS, _PLAIN = (1, 4), (3, 6), (1, 2, 3)
# Comments may stand anywhere before the last field; one white space character ends the header.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER = rb"(\d{1,9})(?!\d)"
_SIZE = re.compile(rb"P([1-6])" + _GAP + _NUMBER + _GAP + _NUMBER)
_MAXVAL = re.compile(_GAP + _NUMBER)
_PAM_LINE = re.compile(rb"[ \t]*(?:#[^\n]*|([A-Z]+)[ \t]*([^\n]*?)[ \t\r]*)?\n")
_PAM_NUMBERS = ("WIDTH", "HEIGHT", "DEPTH", "MAXVAL")
_PAM_CHANNELS = {"BLACKANDWHITE": 1, "GRAYSCALE": 1, "RGB": 3, "CMYK": 4}
_ALPHA = "_ALPHA"
_FLOATS = re.compile(rb"P[Ff]4?\s")
_PADDING = re.compile(rb"[\s\0]*")
_PLAIN_PADDING = re.compile(rb"(?:[\s\0]|#[^\r\n]*)*")
_MAX_HEADER_BYTES = 1 << 16
_ONE_BYTE, _TWO_BYTES = 255, 65535  # the largest maxvals of samples of one and two bytes


@dataclass(frozen=True)
class Header:
    """The header of one picture.

    Attributes:
        kind: 1 to 7, the digit of its magic number.
        width: In pixels.
        height: In pixels.
        channels: Samples of a pixel, alpha among them.
        has_alpha: Whether the last of them is alpha.
        maxval: The largest value of a sample; 1 in a bitmap.
        start: Where its samples begin in the file.
    """

    kind: int
    width: int
    height: int
    channels: int
    has_alpha: bool
    maxval: int
    start: int = field(compare=False)

    @property
    def is_plain(self) -> bool:
        """Whether samples are decimal text."""
        return self.kind in _PLAIN

    @property
    def is_bitmap(self) -> bool:
        """Whether a sample is one bit, with 0 for white."""
        return self.kind in _BITMAPS

    @property
    def sample_bytes(self) -> int:
        """Bytes of a binary sample; 1 in a bitmap."""
        return 1 if self.maxval <= _ONE_BYTE else 2

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of binary samples."""
        if self.is_bitmap:
            return -(-self.width // 8)
        return self.width * self.channels * self.sample_bytes


def read(data: memoryview, at: int = 0) -> Header:
    """Read the header of a picture.

    Args:
        data: The file.
        at: Where the header begins.

    Returns:
        The header.

    Raises:
        InvalidInput: It is damaged or of an unsupported kind.
    """
    beginning = bytes(data[at : at + _MAX_HEADER_BYTES])
    if _FLOATS.match(beginning):
        raise InvalidInput("floating-point samples (PFM) are not supported")
    header = _pam(beginning, at) if beginning.startswith(b"P7") else _pnm(beginning, at)
    if not header.width or not header.height:
        raise InvalidInput("the PNM has no width or no height")
    if not 0 < header.maxval <= _TWO_BYTES:
        raise InvalidInput(f"the PNM's maxval must be 1 to {_TWO_BYTES}, but is {header.maxval}")
    return header


def _pnm(beginning: bytes, at: int) -> Header:
    size = _SIZE.match(beginning)
    if not size:
        raise InvalidInput("the PNM's header is damaged or of a kind other than P1 to P7")
    kind, width, height = map(int, size.groups())
    end, maxval = size.end(), 1
    if kind not in _BITMAPS:
        found = _MAXVAL.match(beginning, end)
        if not found:
            raise InvalidInput("the PNM's header has no maxval")
        end, maxval = found.end(), int(found[1])
    channels = 3 if kind in _PIXMAPS else 1
    start = at + end + (kind not in _PLAIN)
    return Header(kind, width, height, channels, has_alpha=False, maxval=maxval, start=start)


def _pam(beginning: bytes, at: int) -> Header:
    fields: dict[str, str] = {}
    end = beginning.find(b"\n") + 1
    while line := _PAM_LINE.match(beginning, end):
        end = line.end()
        name, value = ((text or b"").decode("latin-1") for text in line.groups())
        if name == "ENDHDR":
            break
        if name == "TUPLTYPE" and name in fields:
            value = f"{fields[name]} {value}"
        fields[name] = value
    else:
        raise InvalidInput("the PAM's header is damaged")
    numbers = [fields.get(name, "") for name in _PAM_NUMBERS]
    if not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers):
        raise InvalidInput("the PAM's header lacks its width, height, depth or maxval")
    width, height, channels, maxval = map(int, numbers)
    kind = fields.get("TUPLTYPE") or {1: "GRAYSCALE", 3: "RGB"}.get(channels, "")
    has_alpha = kind.endswith(_ALPHA)
    if channels != _PAM_CHANNELS.get(kind.removesuffix(_ALPHA), 0) + has_alpha:
        name = kind[:40] or "no type"
        raise InvalidInput(f"a PAM of {channels} channels of the type {name!r} is not supported")
    return Header(PAM, width, height, channels, has_alpha=has_alpha, maxval=maxval, start=at + end)


def next_picture(data: memoryview, end: int, *, is_plain: bool) -> int | None:
    """Find the picture after a picture.

    Args:
        data: The file.
        end: Where the picture ends.
        is_plain: Whether it is plain, so that comments may follow it.

    Returns:
        Where the next one begins, or None if there is none.

    Raises:
        InvalidInput: Something other than a picture follows.
    """
    padding = (_PLAIN_PADDING if is_plain else _PADDING).match(data, min(end, len(data)))
    at = padding.end() if padding else end
    if at >= len(data):
        return None
    if data[at] != ord("P"):
        raise InvalidInput("the PNM has data after its picture, which would be lost")
    return at
