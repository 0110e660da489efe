"""The headers of a WebP (RFC 9649): the sizes of its canvas and of coded pictures."""

from dataclasses import dataclass

from worker.errors import InvalidInput

EXTENDED, LOSSY, LOSSLESS = b"VP8X", b"VP8 ", b"VP8L"
_KIND, _CONTENT = 12, 20  # where the first chunk's are


@dataclass(frozen=True)
class CodedPicture:
    """What the header of coded pixels says.

    Attributes:
        kind: Lossy or lossless.
        width: In pixels.
        height: In pixels.
        has_alpha: Whether it is lossless with alpha.
    """

    kind: bytes
    width: int
    height: int
    has_alpha: bool


def canvas(data: memoryview) -> tuple[int, int]:
    """Return a file's width and height; raise InvalidInput if it has none."""
    kind, content = bytes(data[_KIND : _KIND + 4]), data[_CONTENT:]
    if kind == EXTENDED:
        return size(content, 4)
    picture = coded_picture(kind, content)
    return picture.width, picture.height


def size(content: memoryview, at: int) -> tuple[int, int]:
    """Return a width and a height, of which three bytes each hold one less."""
    width, height = (int.from_bytes(content[i : i + 3], "little") for i in (at, at + 3))
    return width + 1, height + 1


def coded_picture(kind: bytes, content: memoryview) -> CodedPicture:
    """Read the header of coded pixels (sections 2.5 and 3.4; RFC 6386, 9.1).

    Args:
        kind: The chunk's.
        content: The chunk's.

    Returns:
        What it says.

    Raises:
        InvalidInput: It is damaged.
    """
    if kind == LOSSY:
        width, height = (int.from_bytes(content[i : i + 2], "little") & 0x3FFF for i in (6, 8))
        is_valid, has_alpha = bytes(content[3:6]) == b"\x9d\x01\x2a", False
    else:
        bits = int.from_bytes(content[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        is_valid, has_alpha = bytes(content[:1]) == b"\x2f", bool(bits >> 28 & 1)
    if not (is_valid and width and height):
        raise InvalidInput("the WebP is damaged: a picture's header is invalid")
    return CodedPicture(kind, width, height, has_alpha)
