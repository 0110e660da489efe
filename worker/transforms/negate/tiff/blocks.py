"""The blocks of a TIFF's pixels, which are negated one by one: strips, tiles, whole JPEG files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    described,
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


def read(page: Directory, tiff: Tiff) -> list[Block]:
    """Return the blocks of a page or of a reduced level.

    Args:
        page: Its directory.
        tiff: The file's directories.

    Returns:
        Its blocks in their order. Blocks that are missing in the file have no size; they stand for
        zeros (GDAL's sparse files).

    Raises:
        InvalidInput: They are not supported or outside the file.
    """
    if is_jpeg_file(page):
        offset, size = page.number(JPEG_OFFSET, 0), page.number(JPEG_BYTES, 0)
        if not (0 < offset < tiff.size and 0 < size <= tiff.size - offset):
            raise InvalidInput("the TIFF is truncated: a thumbnail lies beyond the file's end")
        return [Block(offset, size, Coding(OLD_JPEG, None, 0))]
    if page.number(COMPRESSION, 1) == OLD_JPEG:
        raise InvalidInput(
            "old-style JPEG compression (6) is not supported, which different readers decode"
            f" differently; convert the file to JPEG compression (7): it has {described(page)}"
        )
    channels = samples.channels(page)
    codings: dict[tuple[int, int], Coding] = {}
    found = []
    for segment in tiff_segments.read(page, tiff.size):
        key = segment.rows, segment.plane
        if key not in codings:
            codings[key] = _coding(page, channels, segment, tiff.order)
        found.append(Block(segment.offset, segment.size, codings[key]))
    return found


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


def unique(pages: list[list[Block]]) -> Mapping[int, Block]:
    """Return the blocks of all pages by their offsets; pages may share them.

    Args:
        pages: The blocks of each.

    Returns:
        Each block once, if it is in the file.

    Raises:
        InvalidInput: Pages share bytes that they code differently.
    """
    found: dict[int, Block] = {}
    for block in (block for page in pages for block in page if block.size):
        if found.setdefault(block.offset, block) != block:
            raise InvalidInput("the TIFF's pages share strips or tiles that they code differently")
    return found
