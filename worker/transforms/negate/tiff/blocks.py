"""The blocks of a TIFF's pixels, which are negated one by one: strips, tiles, whole JPEG files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from worker.errors import InvalidInput
from worker.transforms.negate.tiff import codecs, jpeg_stream, recoding, samples
from worker.transforms.negate.tiff.samples import Channels, Samples
from worker.transforms.pictures import tiff_segments
from worker.transforms.pictures.tiff_directories import Directory, Tiff
from worker.transforms.pictures.tiff_pages import (
    CCITT,
    COMPRESSION,
    JPEG,
    JPEG_BYTES,
    JPEG_OFFSET,
    JPEG_TABLES,
    NO_COMPRESSION,
    OLD_JPEG,
    PHOTOMETRIC,
    STRIP_OFFSETS,
    TILE_OFFSETS,
    YCBCR,
)
from worker.transforms.pictures.tiff_segments import Segment

Piece = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Coding:
    """How blocks are coded.

    Attributes:
        compression: As TIFF numbers it; `OLD_JPEG` for a whole JPEG file.
        samples: How their samples are stored; None for a whole JPEG file.
        rows: Their rows.
        photometric: How the page's samples are to be interpreted.
        tables: The tag JPEGTables, which the JPEG data of several blocks share.
    """

    compression: int
    samples: Samples | None
    rows: int
    photometric: int = YCBCR
    tables: bytes = b""

    @property
    def is_kept(self) -> bool:
        """Whether the blocks stay as they are: indices, masks, alpha, and CCITT, whose tag changes.

        CCITT codes runs of white and black: its PhotometricInterpretation is exchanged instead.
        """
        return self.compression in CCITT or (
            self.samples is not None and not self.samples.color_channels
        )


class Block(NamedTuple):
    """Bytes of a file, and how they are coded."""

    offset: int
    size: int
    coding: Coding


def read(page: Directory, channels: Channels, tiff: Tiff) -> list[Block]:
    """Return the blocks of a page or of a reduced level.

    Args:
        page: Its directory.
        channels: Its channels.
        tiff: The file's directories.

    Returns:
        Its blocks in their order. Blocks that are missing in the file have no size; they stand for
        zeros (GDAL's sparse files).

    Raises:
        InvalidInput: They are too many, too few, or outside the file.
    """  # noqa: DOC502  raised by what it calls
    codings: dict[tuple[int, int], Coding] = {}
    found = []
    for segment in tiff_segments.read(page, tiff.size):
        key = segment.rows, segment.plane
        if key not in codings:
            codings[key] = _coding(page, channels, segment, tiff.order)
        found.append(Block(segment.offset, segment.size, codings[key]))
    return found


def of_jpeg_file(page: Directory, tiff: Tiff) -> Block:
    """Return the only block of a directory that has a JPEG file.

    Args:
        page: Its directory.
        tiff: The file's directories.

    Returns:
        The block.

    Raises:
        InvalidInput: It is outside the file.
    """
    offset, size = page.number(JPEG_OFFSET, 0), page.number(JPEG_BYTES, 0)
    if not (0 < offset < tiff.size and 0 < size <= tiff.size - offset):
        raise InvalidInput("the TIFF is truncated: a thumbnail lies beyond the file's end")
    return Block(offset, size, Coding(OLD_JPEG, None, 0))


def is_jpeg_file(page: Directory) -> bool:
    """Return whether a directory has a JPEG file in place of strips or tiles, as thumbnails do."""
    return JPEG_OFFSET in page.fields and not page.fields.keys() & {STRIP_OFFSETS, TILE_OFFSETS}


def _coding(
    page: Directory, channels: Channels, segment: Segment, order: Literal["little", "big"]
) -> Coding:
    found, rows = samples.of_segment(page, channels, segment, order)
    compression = page.number(COMPRESSION, NO_COMPRESSION)
    photometric = page.number(PHOTOMETRIC, -1)
    tables = page.fields.get(JPEG_TABLES) if compression == JPEG else None
    return Coding(compression, found, rows, photometric, bytes(tables.data) if tables else b"")


def negative(data: memoryview, coding: Coding) -> Iterator[Piece]:
    """Negate a block.

    Args:
        data: The block.
        coding: How it is coded.

    Yields:
        Pieces of its negative.

    Raises:
        InvalidInput: It is damaged.
    """  # noqa: DOC502  raised by what it calls
    found, compression = coding.samples, coding.compression
    if compression in CCITT:
        yield data
    elif found is None:
        yield jpeg_stream.negated_file(data)
    elif compression == JPEG:
        yield jpeg_stream.negated(data, coding.tables, coding.photometric, found, coding.rows)
    elif found.color_channels:
        yield from recoding.recoded(data, compression, found, coding.rows)
    else:
        for _ in codecs.decoded(compression, data, found.row_bytes * coding.rows):
            pass  # a damaged block would be kept otherwise
        yield data


def blank(coding: Coding) -> Iterator[Piece]:
    """Return pieces of the negative of a missing block, which stands for zeros.

    Args:
        coding: How it would be coded.

    Yields:
        Pieces of the block.

    Raises:
        InvalidInput: It cannot be coded.
    """
    found, compression = coding.samples, coding.compression
    if found is None or compression == JPEG:
        raise InvalidInput("the TIFF lacks blocks of JPEG data, which cannot be negated")
    zeros = bytearray(found.row_bytes * coding.rows)
    if compression == NO_COMPRESSION:
        yield from recoding.recoded(memoryview(zeros), compression, found, coding.rows)
        return
    encoder = codecs.encoder(compression, found.row_bytes)
    code = bytearray(encoder.compress(zeros)) + encoder.flush()
    yield from recoding.recoded(memoryview(code), compression, found, coding.rows)


def unique(pages: list[list[Block]]) -> list[Block]:
    """Return the blocks of all pages in the order of the file, each once: pages may share them.

    Args:
        pages: The blocks of each.

    Returns:
        The blocks that are in the file.

    Raises:
        InvalidInput: Pages share bytes that they code differently.
    """
    found: dict[int, Block] = {}
    for block in (block for page in pages for block in page if block.size):
        if found.setdefault(block.offset, block) != block:
            raise InvalidInput("the TIFF's pages share strips or tiles that they code differently")
    return [found[offset] for offset in sorted(found)]


def merged(blocks: list[Block]) -> list[Block]:
    """Merge uncompressed blocks that follow each other, which may be many of a row each.

    Args:
        blocks: The blocks in the order of the file.

    Returns:
        Fewer blocks.
    """
    found: list[Block] = []
    for block in blocks:
        last = found[-1] if found else None
        if last and last.offset + last.size == block.offset and _continues(last, block):
            coding = replace(last.coding, rows=last.coding.rows + block.coding.rows)
            found[-1] = Block(last.offset, last.size + block.size, coding)
        else:
            found.append(block)
    return found


def _continues(last: Block, block: Block) -> bool:
    """Return whether the rows of a block are further rows of the one before it."""
    stored = last.coding.samples
    return (
        stored is not None
        and stored == block.coding.samples
        and last.coding.compression == block.coding.compression == NO_COMPRESSION
        and last.size == stored.row_bytes * last.coding.rows
    )
