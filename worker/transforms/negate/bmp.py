"""Negate a BMP (Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER) by Pillow."""

import re
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import pillow
from worker.transforms.negate.mapped_file import MappedFile

MAGIC = re.compile(rb"BM")

_INFO_HEADER, _V3_HEADER, _V5_HEADER = 40, 56, 124  # bytes
_CORE_HEADER = 12  # bytes; OS/2's
_COLOR, _CORE_COLOR = 4, 3  # bytes of an entry of the color table
_WITH_TABLE = (1, 4, 8)  # bits of a pixel
_RUN_LENGTHS = (1, 2)  # BI_RLE8, BI_RLE4
_ALPHA_BITFIELDS = 6  # BI_ALPHABITFIELDS: four masks follow the header
_WITH_MASKS = (16, 32)  # bits of a pixel
_PROFILES = (b"DEBM", b"KNIL")  # PROFILE_EMBEDDED and PROFILE_LINKED, little-endian


def negate(file: MappedFile, target: Path, pixels: int) -> None:
    """Write the negative of a BMP.

    Args:
        file: The BMP.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Raises:
        InvalidInput: The BMP is damaged or too large, or its alpha or color profile would be lost.
    """

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(file.data[at : at + size], "little")

    header_bytes, bits, compression = number(14), number(28, 2), number(30)
    if header_bytes == _CORE_HEADER:
        is_misread = _is_misread(file.data, number(24, 2), 0, _CORE_COLOR)
    else:
        is_misread = compression not in _RUN_LENGTHS and _is_misread(
            file.data, bits, number(46), _COLOR
        )
    if is_misread:
        raise InvalidInput(
            "the BMP's color table is gray and its bits per pixel do not fit it: they would be "
            "misread"
        )
    has_alpha_mask = header_bytes >= _V3_HEADER or (
        header_bytes == _INFO_HEADER and compression == _ALPHA_BITFIELDS
    )
    if has_alpha_mask and bits in _WITH_MASKS and number(66):
        raise InvalidInput("the BMP has an alpha mask, whose transparency would be lost")
    if header_bytes >= _V5_HEADER and bytes(file.data[70:74]) in _PROFILES:
        raise InvalidInput("the BMP has a color profile, which would be lost")
    pillow.negate(file.path, target, pixels, "BMP")


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
