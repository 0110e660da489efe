"""Negate a TIFF (TIFF 6.0; BigTIFF) by its strips and tiles; everything else stays as it is.

All directories are read: pages, reduced levels and SubIFDs. Each strip or tile is decompressed,
complemented and compressed again as it was; JPEG data is negated without decoding. Directories and
tags stay as they are, except for tags that say where strips are, what samples mean (ColorMap,
GDAL_NODATA, smallest and largest values), or that hold previews.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from worker.errors import InvalidInput
from worker.transforms.negate.tiff import (
    blocks,
    ccitt,
    cog,
    layout,
    samples,
    stacks,
    tags,
    verification,
)
from worker.transforms.negate.tiff.blocks import Block, Coding
from worker.transforms.negate.tiff.layout import Place
from worker.transforms.negate.tiff.samples import Channels
from worker.transforms.negate.tiff.tags import Changes, DirectoryWriter
from worker.transforms.pictures import camera_raw, pixel_limit, tiff_directories
from worker.transforms.pictures.mapped_file import MappedFile
from worker.transforms.pictures.tiff_directories import Directory, Tiff
from worker.transforms.pictures.tiff_pages import CCITT, HEIGHT, WIDTH

_RELEASED_EVERY = 1 << 24  # bytes of the result
_NDPI = 65420  # its JPEG data is also found by offsets in other tags


@dataclass(frozen=True)
class _Page:
    """A page or a reduced level.

    Attributes:
        directory: Its directory.
        blocks: Its strips or tiles.
        channels: Its channels; None for a thumbnail that is a JPEG file.
        changes: Its fields that change with its samples.
        is_sparse: Whether blocks that are missing in the file stay so.
    """

    directory: Directory
    blocks: list[Block]
    channels: Channels | None
    changes: Changes
    is_sparse: bool


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a TIFF.

    Args:
        file: The TIFF.
        target: Where the negative goes.
        pixels: The most pixels that its pages and levels may have.

    Returns:
        Notes on what was dropped, or stays since nothing says what it means.

    Raises:
        InvalidInput: The TIFF is damaged, not supported or too large.
    """
    tiff = tiff_directories.read(file.data)
    camera_raw.check_directories(tiff.pictures)
    if any(_NDPI in page.fields for page in tiff.pages):
        raise InvalidInput("Hamamatsu NDPI files are not supported: convert it to OME-TIFF")
    images = {
        page.start: count for page, count in zip(tiff.pages, stacks.images(tiff.pages), strict=True)
    }
    areas = (
        page.number(WIDTH, 0) * page.number(HEIGHT, 0) * images.get(page.start, 1)
        for page in tiff.pictures
    )
    pixel_limit.check(sum(areas), pixels)
    pages = [_page(tiff, directory) for directory in tiff.pictures]
    stack = [
        block
        for page in pages
        if (further := images.get(page.directory.start, 1) - 1)
        for block in stacks.further(page.blocks, further, tiff.size)
    ]
    for page in pages:
        if page.blocks[0].coding.compression in CCITT:
            ccitt.check(page.directory, page.blocks, file.data)
    with target.open("wb") as out:
        changes, moved, notes = _write(file, out, tiff, pages, stack)
    verification.check(tiff, changes, moved, target)
    if any(page.channels and page.channels.unspecified for page in pages):
        notes.append("kept channels of unspecified meaning as they are")
    return list(dict.fromkeys(notes))


def _page(tiff: Tiff, directory: Directory) -> _Page:
    """Return what a picture of the file is; the reason of a refusal says which one it is."""
    try:
        if blocks.is_jpeg_file(directory):
            block = blocks.of_jpeg_file(directory, tiff)
            return _Page(directory, [block], None, {}, is_sparse=False)
        channels = samples.channels(directory, is_first=directory is tiff.pages[0])
        its_blocks = blocks.read(directory, channels, tiff)
        changes = tags.of_pixels(directory, channels)
        stays_zero = channels.is_premultiplied or (
            tags.nodata_value(directory, channels) is not None
        )
        return _Page(directory, its_blocks, channels, changes, is_sparse=stays_zero)
    except InvalidInput as error:
        where = _where(tiff, directory)
        raise InvalidInput(f"{error}{where}") from None


def _where(tiff: Tiff, directory: Directory) -> str:
    if len(tiff.pages) == 1 and directory is tiff.pages[0]:
        return ""
    for number, (page, levels) in enumerate(zip(tiff.pages, tiff.levels, strict=True), 1):
        if directory is page:
            return f" (page {number})"
        if directory in levels:
            return f" (a SubIFD of page {number})"
    return ""


def _write(
    file: MappedFile, out: BinaryIO, tiff: Tiff, pages: list[_Page], stack: list[Block]
) -> tuple[Mapping[int, Changes], Mapping[int, int], list[str]]:
    """Write the negative.

    Args:
        file: The source.
        out: The result; empty.
        tiff: The source's directories.
        pages: Its pictures.
        stack: Images without directories.

    Returns:
        The changes of directories by their first bytes, the new first bytes of those that have
        moved, and notes.
    """
    data = file.data
    every_block = blocks.unique([*(page.blocks for page in pages), stack])
    promises_at, promises = cog.promises(data, is_big=tiff.is_big)
    is_framed = cog.has_frames(promises, every_block, data)
    header = [(0, promises_at + len(promises))]
    pictures, exif = list(_places(tiff.pictures, tiff)), list(_places(tiff.exif, tiff))
    moved = every_block if is_framed else blocks.merged(every_block)
    runs = layout.runs(moved, header + exif + pictures, (), data, is_framed=is_framed)
    if moves := not is_framed and layout.is_scattered(runs, tiff.size):
        runs = layout.runs(moved, header + exif, pictures, data, is_framed=is_framed)
    places, end = layout.write(file, out, runs, _negative_of(file), is_framed=is_framed)
    blanks, end = _append_blanks(out, pages, end)
    writer = DirectoryWriter(out, tiff, end, moves=moves)
    changes, notes = _metadata(tiff)
    for page in pages:
        directory = page.directory
        where = [
            places.of(block) if block.size else blanks.get(block.coding, Place(0, 0))
            for block in page.blocks
        ]
        changes[directory.start] |= page.changes | tags.of_blocks(
            directory, where, is_big=tiff.is_big
        )
        changes[directory.start] |= writer.sub_ifds(directory)
    for directory in (*tiff.pictures, *tiff.exif):
        if changes[directory.start] or directory.start in writer.moved:
            writer.write(directory, changes[directory.start])
    if promises and not (is_framed and not blanks and places.are_in_order):
        os.pwrite(out.fileno(), cog.withdrawn(promises), promises_at)
    out.truncate(writer.end)
    return changes, writer.moved, notes


def _metadata(tiff: Tiff) -> tuple[dict[int, Changes], list[str]]:
    """Return the changes of all directories' metadata by their first bytes, and notes."""
    changes: dict[int, Changes] = {}
    notes = list[str]()
    for directory in (*tiff.pictures, *tiff.exif):
        changes[directory.start], its_notes = tags.of_metadata(directory)
        notes += its_notes
    return changes, notes


def _negative_of(file: MappedFile) -> Callable[[Block], Iterator[blocks.Piece]]:
    """Return a function that yields pieces of a block's negative, in little memory."""
    unreleased = 0

    def negative(block: Block) -> Iterator[blocks.Piece]:
        nonlocal unreleased
        data = file.data[block.offset : block.offset + block.size]
        for piece in blocks.negative(data, block.coding):
            yield piece
            unreleased += len(piece)
            if unreleased >= _RELEASED_EVERY:
                file.release()
                unreleased = 0

    return negative


def _places(directories: Iterable[Directory], tiff: Tiff) -> Iterator[tuple[int, int]]:
    """Yield where directories, and values outside of them, begin and end."""
    inside = 8 if tiff.is_big else 4
    for directory in directories:
        yield directory.start, directory.end
        for field in directory.fields.values():
            if field.size > inside:
                yield field.offset, field.offset + field.size


def _append_blanks(
    out: BinaryIO, pages: list[_Page], end: int
) -> tuple[Mapping[Coding, Place], int]:
    """Append the negatives of missing blocks, one for all of a kind; return where the file ends."""
    places: dict[Coding, Place] = {}
    for page in pages:
        for block in page.blocks:
            coding = block.coding
            if not (block.size or page.is_sparse or coding.is_kept or coding in places):
                code = b"".join(blocks.blank(coding))
                places[coding] = Place(end + end % 2, len(code))
                os.pwrite(out.fileno(), code, places[coding].offset)
                end = places[coding].offset + len(code)
    return places, end
