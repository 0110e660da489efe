"""Where the strips or tiles of a TIFF's page are, and how many bytes they hold (TIFF 6.0)."""

from dataclasses import dataclass

from worker.errors import InvalidInput
from worker.transforms.pictures.tiff_directories import Directory
from worker.transforms.pictures.tiff_pages import (
    BITS,
    CHANNELS,
    COMPRESSION,
    HEIGHT,
    JPEG,
    NO_COMPRESSION,
    OLD_JPEG,
    PHOTOMETRIC,
    PLANAR,
    ROWS_PER_STRIP,
    SEPARATE_PLANES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    SUBSAMPLING,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    YCBCR,
)

_MAX_SEGMENTS = 250_000  # of a page; a crafted file could list many more than it has bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """A strip or a tile.

    Attributes:
        offset: Its first byte in the file; 0 if it is missing, so that all of its bytes are 0.
        size: Its bytes in the file; 0 if it is missing.
        columns: Pixels of a row.
        rows: Rows of pixels.
        plane: Which channel it holds if planes are separate, else 0.
    """

    offset: int
    size: int
    columns: int
    rows: int
    plane: int


def read(page: Directory, file_size: int) -> list[Segment]:
    """Return the strips or tiles of a page.

    Args:
        page: The page.
        file_size: Bytes of the file.

    Returns:
        The segments, in their order.

    Raises:
        InvalidInput: They are too many, too few, too small, or outside the file.
    """
    width, height = page.number(WIDTH, 0), page.number(HEIGHT, 0)
    if (TILE_OFFSETS in page.fields) == (STRIP_OFFSETS in page.fields):
        raise InvalidInput("the TIFF must have either strips or tiles")
    # Some writers use the tags of strips for tiles, as libtiff accepts.
    is_tiled = TILE_OFFSETS in page.fields or TILE_WIDTH in page.fields
    if is_tiled:
        columns, rows = page.number(TILE_WIDTH, 0), page.number(TILE_HEIGHT, 0)
    else:
        columns, rows = width, min(page.number(ROWS_PER_STRIP, height), height)
    if not (width and height and columns and rows):
        raise InvalidInput("the TIFF has a page, strip or tile without width or height")
    per_column = -(-height // rows)
    per_plane = -(-width // columns) * per_column
    is_planar = page.number(PLANAR, 1) == SEPARATE_PLANES
    needed = per_plane * (page.number(CHANNELS, 1) if is_planar else 1)
    name = "tile" if is_tiled else "strip"
    offsets_tag, sizes_tag = places(page)
    for tag in (offsets_tag, sizes_tag):
        if tag in page.fields and len(page.fields[tag]) != needed:
            count = len(page.fields[tag])
            raise InvalidInput(f"the TIFF lists {count} {name}s where its size needs {needed}")
    if needed > _MAX_SEGMENTS:
        raise InvalidInput(f"the TIFF has more than {_MAX_SEGMENTS:,} {name}s")
    is_stored = page.number(COMPRESSION, NO_COMPRESSION) == NO_COMPRESSION
    if not is_stored and sizes_tag not in page.fields:
        raise InvalidInput(f"the TIFF does not list the bytes of its {name}s")
    sizes = page.numbers(sizes_tag) if sizes_tag in page.fields else None
    last_rows = rows if is_tiled else height - (per_column - 1) * rows
    # Full ones, and the last one of a column.
    leasts = [
        row_bytes * stored_rows if is_stored else 1
        for row_bytes, stored_rows in (stored(page, columns, each) for each in (rows, last_rows))
    ]
    found = []
    for index, offset in enumerate(page.numbers(offsets_tag)):
        is_last = index % per_column == per_column - 1
        least = leasts[is_last]
        size = sizes[index] if sizes else least
        if (offset or size) and (not offset or size < least):
            raise InvalidInput(f"the TIFF has a {name} with too few bytes")
        if offset + size > file_size:
            raise InvalidInput(f"the TIFF is truncated: a {name} lies beyond the file's end")
        its_rows = last_rows if is_last else rows
        found.append(Segment(offset, size, columns, its_rows, index // per_plane))
    return found


def places(page: Directory) -> tuple[int, int]:
    """Return the tags with the offsets and with the sizes of a page's segments."""
    if TILE_OFFSETS in page.fields:
        return TILE_OFFSETS, TILE_BYTES
    return STRIP_OFFSETS, STRIP_BYTES


def stored(page: Directory, columns: int, rows: int) -> tuple[int, int]:
    """Return how a segment is stored once it is decompressed.

    Args:
        page: Its page.
        columns: Its width in pixels.
        rows: Its height in pixels.

    Returns:
        Bytes of a row, and how many rows. A row of subsampled YCbCr is one of units, which hold
        several pixels (TIFF 6.0, section 21).
    """
    bits, channels = page.numbers(BITS, 1), page.number(CHANNELS, 1)
    if page.number(PLANAR, 1) == SEPARATE_PLANES:
        return (columns * max(bits) + 7) // 8, rows
    across, down = subsampling(page)
    if (across, down) != (1, 1):
        return -(-columns // across) * (across * down + channels - 1), -(-rows // down)
    return (columns * pixel_bits(bits, channels) + 7) // 8, rows


def pixel_bits(bits: list[int], channels: int) -> int:
    """Return the bits of a pixel; some writers give one value for all channels."""
    return sum(bits) if len(bits) == channels else bits[0] * channels


def subsampling(page: Directory) -> tuple[int, int]:
    """Return how many pixels share the colors of YCbCr, across and down; JPEG data tells itself."""
    if page.number(PHOTOMETRIC, -1) != YCBCR or page.number(COMPRESSION, 1) in (OLD_JPEG, JPEG):
        return 1, 1
    across, down, *_ = (*page.numbers(SUBSAMPLING, 2, 2), 0)
    if across not in (1, 2, 4) or down not in (1, 2, 4):
        raise InvalidInput(f"the TIFF's colors are subsampled by {across} × {down}")
    return across, down
