"""Negate a BMP (Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER) by Pillow."""

import re
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import pillow
from worker.transforms.negate.mapped_file import MappedFile

MAGIC = re.compile(rb"BM")

_INFO_HEADER, _V3_HEADER, _V5_HEADER = 40, 56, 124  # bytes
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
    has_alpha_mask = header_bytes >= _V3_HEADER or (
        header_bytes == _INFO_HEADER and compression == _ALPHA_BITFIELDS
    )
    if has_alpha_mask and bits in _WITH_MASKS and number(66):
        raise InvalidInput("the BMP has an alpha mask, whose transparency would be lost")
    if header_bytes >= _V5_HEADER and bytes(file.data[70:74]) in _PROFILES:
        raise InvalidInput("the BMP has a color profile, which would be lost")
    pillow.negate(file.path, target, pixels, "BMP")
