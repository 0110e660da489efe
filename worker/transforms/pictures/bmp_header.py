"""Read the header of a BMP (Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER)."""

from dataclasses import dataclass

#: Why a BMP that Pillow misreads is refused.
MISREAD = (
    "the BMP's color table is gray and its bits per pixel do not fit it: they would be misread"
)
_INFO_HEADER, _V3_HEADER, _V5_HEADER = 40, 56, 124  # bytes
_CORE_HEADER = 12  # bytes; OS/2's
_COLOR, _CORE_COLOR = 4, 3  # bytes of an entry of the color table
_WITH_TABLE = (1, 4, 8)  # bits of a pixel
_RUN_LENGTHS = (1, 2)  # BI_RLE8, BI_RLE4
_ALPHA_BITFIELDS = 6  # BI_ALPHABITFIELDS: four masks follow the header
_WITH_MASKS = (16, 32)  # bits of a pixel
_PROFILES = (b"DEBM", b"KNIL")  # PROFILE_EMBEDDED and PROFILE_LINKED, little-endian


@dataclass(frozen=True)
class Header:
    """What Pillow does not read, or not well.

    Attributes:
        is_misread: Whether Pillow 13.0 takes its indices for gray values.
        has_alpha_mask: Whether its pixels have alpha.
        has_profile: Whether it has a color profile.
    """

    is_misread: bool
    has_alpha_mask: bool
    has_profile: bool


def read(data: memoryview) -> Header:
    """Read the header of a BMP."""

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(data[at : at + size], "little")

    header_bytes, bits, compression = number(14), number(28, 2), number(30)
    if header_bytes == _CORE_HEADER:
        is_misread = _is_misread(data, number(24, 2), 0, _CORE_COLOR)
    else:
        is_misread = compression not in _RUN_LENGTHS and _is_misread(data, bits, number(46), _COLOR)
    has_alpha_mask = header_bytes >= _V3_HEADER or (
        header_bytes == _INFO_HEADER and compression == _ALPHA_BITFIELDS
    )
    return Header(
        is_misread,
        has_alpha_mask and bits in _WITH_MASKS and number(66) != 0,
        header_bytes >= _V5_HEADER and bytes(data[70:74]) in _PROFILES,
    )


def _is_misread(data: memoryview, bits: int, colors: int, color_bytes: int) -> bool:
    """Return whether Pillow 13.0 takes indices of a gray color table for 1-bit or 8-bit pixels."""
    if bits not in _WITH_TABLE:
        return False
    colors = colors or 1 << bits
    is_bilevel = colors == 2  # noqa: PLR2004
    grays = (0, 255) if is_bilevel else range(min(colors, 1 << bits))
    start = 14 + int.from_bytes(data[14:18], "little")
    is_gray = all(
        bytes(data[start + index * color_bytes :][:3]) == bytes([gray] * 3)
        for index, gray in enumerate(grays)
    )
    return is_gray and bits != (1 if is_bilevel else 8)
