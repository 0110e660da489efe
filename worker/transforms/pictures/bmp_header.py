"""Read the header of a BMP (Windows' BITMAPINFOHEADER to BITMAPV5HEADER; OS/2's)."""

from dataclasses import dataclass, field
from itertools import combinations

#: Why a BMP that Pillow misreads is refused.
MISREAD = (
    "the BMP's color table is gray and its bits per pixel do not fit it: they would be misread"
)
NO_COMPRESSION, RLE8, RLE4, BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_FILE_HEADER = 14  # bytes; all other offsets are from its end unless said
_CORE_HEADER, _INFO_HEADER, _V2_HEADER, _V3_HEADER, _V5_HEADER = 12, 40, 52, 56, 124  # bytes
_WINDOWS_HEADERS = (_CORE_HEADER, _INFO_HEADER, _V2_HEADER, _V3_HEADER, 108, _V5_HEADER)
_OS2_HEADERS = range(16, 65)
_COLOR, _CORE_COLOR = 4, 3  # bytes of an entry of the color table
_WITH_TABLE = (1, 2, 4, 8)  # bits of a pixel
_DEFAULT_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_DEFAULT_MASKS[24] = _DEFAULT_MASKS[32]
_PROFILES = (b"DEBM", b"KNIL")  # PROFILE_EMBEDDED and PROFILE_LINKED, little-endian


@dataclass(frozen=True)
class Header:
    """How a BMP stores its picture.

    Attributes:
        size: Bytes of the header, which tell its version.
        width: In pixels; not positive if it is damaged.
        height: In pixels.
        bits: Of a pixel.
        compression: As BMP numbers it, and differently OS/2.
        masks: The bits of a pixel that are red, green, blue and alpha; none with a color table.
        table: Where the color table begins in the file.
        colors: The number of its entries.
        color_bytes: Bytes of an entry.
        start: Where the pixels begin in the file.
        profile: Where the color profile begins and ends in the file; None if there is none.
        is_misread: Whether Pillow 13.0 takes its indices for gray values.
    """

    size: int
    width: int
    height: int
    bits: int
    compression: int
    masks: tuple[int, ...]
    table: int
    colors: int
    color_bytes: int
    start: int
    profile: tuple[int, int] | None
    is_misread: bool = field(compare=False)  # the negative's colors are others

    @property
    def is_known(self) -> bool:
        """Whether the header is of a known version."""
        return self.size in _WINDOWS_HEADERS or self.size in _OS2_HEADERS

    @property
    def is_os2(self) -> bool:
        """Whether it is OS/2's, which numbers compressions differently."""
        return self.size not in _WINDOWS_HEADERS

    @property
    def has_table(self) -> bool:
        """Whether pixels are indices of the color table."""
        return self.bits in _WITH_TABLE

    @property
    def has_overlapping_masks(self) -> bool:
        """Whether a bit of a pixel belongs to two channels."""
        return any(one & other for one, other in combinations(self.masks, 2))

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of uncompressed pixels, padded to four bytes."""
        return (self.width * self.bits + 31) // 32 * 4


def read(data: memoryview) -> Header:
    """Read the header of a BMP; what is missing in a damaged one is 0."""

    def number(at: int, size: int = 4, *, signed: bool = False) -> int:
        at += _FILE_HEADER
        return int.from_bytes(data[at : at + size], "little", signed=signed)

    size, start = number(0), number(-4)
    is_core = size == _CORE_HEADER
    if is_core:
        width, height, bits = number(4, 2), number(6, 2), number(10, 2)
    else:
        width, height = number(4, signed=True), abs(number(8, signed=True))
        bits = number(14, 2)
    compression = number(16) if size >= 20 else 0  # noqa: PLR2004  OS/2 may omit the last fields
    used = number(32) if size >= 36 else 0  # noqa: PLR2004
    color_bytes = _CORE_COLOR if is_core else _COLOR
    table = _FILE_HEADER + size
    masks: tuple[int, ...] = _DEFAULT_MASKS.get(bits, ())
    if compression in (BITFIELDS, _ALPHA_BITFIELDS) and size in _WINDOWS_HEADERS:
        count = 4 if compression == _ALPHA_BITFIELDS or size >= _V3_HEADER else 3
        masks = tuple(number(_INFO_HEADER + 4 * i) % (1 << bits) for i in range(count))
        table += 4 * count if size == _INFO_HEADER else 0
    colors = used or (1 << bits if bits in _WITH_TABLE else 0)
    is_misread = (
        compression not in (RLE8, RLE4)
        and bits != 2  # noqa: PLR2004
        and _is_misread(data, bits, used, color_bytes)
    )
    profile = None
    if size >= _V5_HEADER and bytes(data[70:74]) in _PROFILES:
        profile = (_FILE_HEADER + number(112), _FILE_HEADER + number(112) + number(116))
    return Header(
        *(size, width, height, bits, compression, masks, table),
        *(min(colors, max(0, start - table) // color_bytes), color_bytes, start, profile),
        is_misread,
    )


def _is_misread(data: memoryview, bits: int, colors: int, color_bytes: int) -> bool:
    """Return whether Pillow 13.0 takes indices of a gray color table for 1-bit or 8-bit pixels."""
    if bits not in _WITH_TABLE:
        return False
    colors = colors or 1 << bits
    is_bilevel = colors == 2  # noqa: PLR2004
    grays = (0, 255) if is_bilevel else range(min(colors, 1 << bits))
    start = _FILE_HEADER + int.from_bytes(data[14:18], "little")
    is_gray = all(
        bytes(data[start + index * color_bytes :][:3]) == bytes([gray] * 3)
        for index, gray in enumerate(grays)
    )
    return is_gray and bits != (1 if is_bilevel else 8)
