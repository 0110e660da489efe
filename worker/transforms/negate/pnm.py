"""Negate a PNM (netpbm's pbm, pgm and ppm) by Pillow; plain ones become binary ones."""

from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import pillow
from worker.transforms.pictures import pnm_header
from worker.transforms.pictures.mapped_file import MappedFile

_ONE_BYTE, _TWO_BYTES = 255, 65535  # maxvals


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a PNM.

    Raises InvalidInput if it is damaged or too large, or its depth or a second picture would be
    lost.

    Args:
        file: The PNM.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Returns:
        Notes.
    """
    _check(file.data)
    pillow.negate(file.path, target, pixels, "PPM")
    return []


def _check(data: memoryview) -> None:
    header = pnm_header.read(data)
    maxval = _ONE_BYTE if header.maxval is None else header.maxval
    if header.is_color and maxval > _ONE_BYTE:
        raise InvalidInput(f"the PPM has more than 8 bits per channel (maxval {maxval})")
    if maxval not in (_ONE_BYTE, _TWO_BYTES):
        known = f"{_ONE_BYTE} and, for gray, {_TWO_BYTES}"
        raise InvalidInput(f"the PNM's maxval is {maxval}, of which only {known} would be kept")
    if header.surplus:
        raise InvalidInput(f"the PNM has {header.surplus}, which would be lost")
