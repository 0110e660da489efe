"""Stacks whose images outnumber their directories: the further images follow the first one."""

import re

from worker.errors import InvalidInput
from worker.transforms.negate.tiff.blocks import Block, Coding
from worker.transforms.pictures.tiff_directories import Directory
from worker.transforms.pictures.tiff_pages import DESCRIPTION, NO_COMPRESSION

_IMAGEJ = re.compile(rb"ImageJ=[^\0]*?\nimages=(\d{1,9})\s")
_METAMORPH = 33629  # UIC2Tag: a value for each plane


def images(page: Directory) -> int:
    """Return how many images a file has by the description of its first page.

    Args:
        page: The first page.

    Returns:
        The number; 0 if only the directories tell.

    Raises:
        InvalidInput: It is a stack of another kind.
    """
    if _METAMORPH in page.fields and len(page.fields[_METAMORPH]) > 1:
        raise InvalidInput(
            "the TIFF is a MetaMorph stack (STK), which is not supported: convert it to OME-TIFF"
        )
    field = page.fields.get(DESCRIPTION)
    text = bytes(field.data) if field else b""
    found = _IMAGEJ.match(text)
    return int(found[1]) if found else 0


def further(its_blocks: list[Block], count: int, size: int) -> list[Block]:
    """Return the images that follow the only page's one, as one block.

    Args:
        its_blocks: The page's blocks.
        count: How many images follow.
        size: Bytes of the file.

    Returns:
        The block.

    Raises:
        InvalidInput: The page is compressed, or its blocks or the images are not in sequence.
    """
    coding, start = its_blocks[0].coding, its_blocks[0].offset
    problem = "the TIFF is an ImageJ stack with fewer directories than images"
    end = start
    for block in its_blocks:
        if block.offset != end or block.coding.compression != NO_COMPRESSION:
            raise InvalidInput(f"{problem}, and the first image is not in one piece")
        end += block.size
    if coding.samples is None or (end - start) % coding.samples.row_bytes:
        raise InvalidInput(f"{problem}, and the first image is not in one piece")
    rest = (end - start) * count
    if end + rest > size:
        raise InvalidInput("the TIFF is truncated: it is an ImageJ stack that lacks images")
    rows = rest // coding.samples.row_bytes
    return [Block(end, rest, Coding(NO_COMPRESSION, coding.samples, rows, coding.photometric))]
