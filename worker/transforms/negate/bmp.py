"""Negate a BMP (Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER) by Pillow."""

from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import pillow
from worker.transforms.pictures import bmp_header
from worker.transforms.pictures.mapped_file import MappedFile


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a BMP.

    Args:
        file: The BMP.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: The BMP is damaged or too large, or its alpha or color profile would be lost.
    """
    header = bmp_header.read(file.data)
    if header.is_misread:
        raise InvalidInput(bmp_header.MISREAD)
    if header.has_alpha_mask:
        raise InvalidInput("the BMP has an alpha mask, whose transparency would be lost")
    if header.has_profile:
        raise InvalidInput("the BMP has a color profile, which would be lost")
    pillow.negate(file.path, target, pixels, "BMP")
    return []
