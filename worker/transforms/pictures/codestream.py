"""Read the main header of a JPEG 2000 codestream (ISO/IEC 15444-1, annex A)."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.errors import InvalidInput

START = b"\xff\x4f"  # SOC
_SIZ, _COD, _COM, _CRG = 0xFF51, 0xFF52, 0xFF64, 0xFF63
_SOT, _EOC = 0xFF90, 0xFFD9
_SIZ_BYTES = 36  # before those of the components
_COD_BYTES = 10
_SIGNED = 0x80


@dataclass(frozen=True)
class Header:
    """How a codestream's picture is stored.

    Attributes:
        width, height: Of the picture, in pixels.
        components: Of the SIZ segment what describes them.
        offset: Of the picture, and of the first tile.
        tile: Width and height of a tile.
        bits: Of each component's samples.
        is_signed: Whether any component has signed samples.
        is_subsampled: Whether any component has fewer samples than the picture has pixels.
        progression: The order of packets, as Pillow names it.
        has_color_transform: Whether the first three components are transformed together.
        resolutions: Of each tile.
        is_reversible: Whether the wavelet transform loses nothing.
        comments: Whole segments of comments and of the components' registration.
        end: Where the first tile-part begins.
    """

    width: int
    height: int
    components: bytes
    offset: tuple[tuple[int, int], tuple[int, int]]
    tile: tuple[int, int]
    bits: Sequence[int]
    is_signed: bool
    is_subsampled: bool
    progression: str
    has_color_transform: bool
    resolutions: int
    is_reversible: bool
    comments: bytes
    end: int


def read(data: memoryview) -> Header:
    """Read a codestream's main header.

    Args:
        data: The codestream.

    Returns:
        The header.

    Raises:
        InvalidInput: It is damaged.
    """
    size = coding = b""
    comments, at = list[bytes](), len(START)
    if data[:at] != START:
        raise InvalidInput("the JPEG 2000 codestream's beginning is damaged")
    while (marker := int.from_bytes(data[at : at + 2], "big")) not in (_SOT, _EOC):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):  # noqa: PLR2004  its own bytes
            raise InvalidInput("the JPEG 2000 codestream's header is damaged or truncated")
        content = bytes(data[at + 4 : end])
        if marker == _SIZ:
            size = content
        elif marker == _COD:
            coding = content
        elif marker in (_COM, _CRG):
            comments.append(bytes(data[at:end]))
        at = end
    if len(coding) < _COD_BYTES:
        raise InvalidInput("the JPEG 2000 codestream has no coding style")
    return _header(size, coding, b"".join(comments), at)


def _header(size: bytes, coding: bytes, comments: bytes, end: int) -> Header:
    count = int.from_bytes(size[34:36], "big")
    if not count or len(size) != _SIZ_BYTES + 3 * count:
        raise InvalidInput("the JPEG 2000 codestream's sizes are damaged")
    right, lower, left, upper, tile_width, tile_height, tile_left, tile_upper = (
        int.from_bytes(size[at : at + 4], "big") for at in range(2, 34, 4)
    )
    if right <= left or lower <= upper or not (tile_width and tile_height):
        raise InvalidInput("the JPEG 2000 codestream has no width or no height")
    depths, steps = size[36::3], size[37::3] + size[38::3]
    orders = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")
    return Header(
        width=right - left,
        height=lower - upper,
        components=size[34:],
        offset=((left, upper), (tile_left, tile_upper)),
        tile=(tile_width, tile_height),
        bits=[(depth & ~_SIGNED) + 1 for depth in depths],
        is_signed=any(depth & _SIGNED for depth in depths),
        is_subsampled=any(step != 1 for step in steps),
        progression=orders[coding[1]] if coding[1] < len(orders) else orders[0],
        has_color_transform=bool(coding[4]),
        resolutions=coding[5] + 1,
        is_reversible=coding[9] == 1,
        comments=comments,
        end=end,
    )
