"""Stacks whose images outnumber their directories: the further images follow the first one."""

import json
import math
import re
from collections.abc import Sequence

from worker.errors import InvalidInput
from worker.transforms.negate.tiff.blocks import Block, Coding
from worker.transforms.pictures.tiff_directories import Directory
from worker.transforms.pictures.tiff_pages import (
    CHANNELS,
    DESCRIPTION,
    HEIGHT,
    NO_COMPRESSION,
    WIDTH,
)

_IMAGEJ = re.compile(rb"ImageJ=[^\0]*?\nimages=(\d{1,9})\s")
# With "truncated", only the first image of a series has a directory.
_SHAPED = re.compile(rb'\{"shape": \[.*"truncated": true', re.DOTALL)
_MAX_DIMENSIONS = 64
_METAMORPH = 33629  # UIC2Tag: a value for each plane
_NIH_IMAGE, _NIH_COUNT = 43314, 260  # NIHImageHeader; where it has the number of images
_PROBLEM = "the TIFF is a stack with fewer directories than images"


def images(pages: Sequence[Directory]) -> list[int]:
    """Return how many images each directory of a file stands for, by its description.

    Args:
        pages: The pages.

    Returns:
        The numbers; 1 if a directory stands for itself only.

    Raises:
        InvalidInput: It is a stack of another kind.
    """
    first = pages[0]
    if _METAMORPH in first.fields and len(first.fields[_METAMORPH]) > 1:
        raise InvalidInput(
            "the TIFF is a MetaMorph stack (STK), which is not supported: convert it to OME-TIFF"
        )
    if (count := _images_of_file(first)) <= 1:
        return [_images_by_shape(page) for page in pages]
    if 1 < len(pages) < count:
        raise InvalidInput(f"{_PROBLEM}: {len(pages)}, not {count}; save it as OME-TIFF")
    return [count] if len(pages) == 1 else [1] * len(pages)


def _images_of_file(first: Directory) -> int:
    """Return how many images ImageJ or NIH Image says there are, or less than 2."""
    if found := _IMAGEJ.match(_description(first)):
        return int(found[1])
    if header := first.fields.get(_NIH_IMAGE):
        return int.from_bytes(header.data[_NIH_COUNT : _NIH_COUNT + 2], header.order)
    return 0


def _description(page: Directory) -> bytes:
    field = page.fields.get(DESCRIPTION)
    return bytes(field.data) if field else b""


def _images_by_shape(page: Directory) -> int:
    """Return how many images there are by the shape that Python's tifffile describes in JSON."""
    text = _description(page).rstrip(b"\0")
    if not _SHAPED.match(text):
        return 1
    try:
        shape: list[object] = json.loads(text)["shape"]
    except (ValueError, RecursionError):
        return 1
    sizes = [each for each in shape if isinstance(each, int)]
    if not len(sizes) == len(shape) <= _MAX_DIMENSIONS:
        return 1
    samples = page.number(WIDTH, 0) * page.number(HEIGHT, 0) * page.number(CHANNELS, 1)
    return max(1, math.prod(sizes) // max(1, samples))


def further(its_blocks: list[Block], count: int, size: int) -> list[Block]:
    """Return the images that follow a page's one, as one block.

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
    end = start
    for block in its_blocks:
        if block.offset != end or block.coding.compression != NO_COMPRESSION:
            raise InvalidInput(f"{_PROBLEM}, and the first image is not in one piece")
        end += block.size
    if coding.samples is None or (end - start) % coding.samples.row_bytes:
        raise InvalidInput(f"{_PROBLEM}, and the first image is not in one piece")
    rest = (end - start) * count
    if end + rest > size:
        raise InvalidInput("the TIFF is truncated: it is a stack that lacks images")
    rows = rest // coding.samples.row_bytes
    return [Block(end, rest, Coding(NO_COMPRESSION, coding.samples, rows, coding.photometric))]
