"""Negate a BMP by its color table, or by the bits of its pixels that are colors.

Alpha, unused bits, headers, the color profile and all else stay as they are. Negating twice gives
the same bytes.
"""

from collections.abc import Iterator
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate.pixels import COMPLEMENT
from worker.transforms.negate.verification import check_equal
from worker.transforms.pictures import bmp_header, pixel_limit
from worker.transforms.pictures.bmp_header import BITFIELDS, NO_COMPRESSION, RLE4, RLE8, Header
from worker.transforms.pictures.mapped_file import Change, MappedFile

_ALPHA_BITFIELDS = 6
_PIECE_BYTES = 1 << 18
_MAX_ROW_BYTES = 1 << 24  # rows are negated whole
_MAX_COLORS = 1 << 16  # more than pixels can use: some files have a table larger than they need
_RUN_BITS = {RLE8: 8, RLE4: 4}
_MASKED_BITS = (16, 32)
_NAMES = {4: "JPEG data", 5: "PNG data", 11: "CMYK", 12: "CMYK", 13: "CMYK"}
_OS2_NAMES = {3: "Huffman compression", 4: "RLE24 compression"}
_END_OF_ROW, _END, _DELTA = range(3)  # what follows a run of length 0


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a BMP.

    Args:
        file: The BMP.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: The BMP is damaged, not supported or too large.
    """
    header = bmp_header.read(file.data)
    if problem := _unsupported(header) or _damaged(header, len(file.data)):
        raise InvalidInput(f"the BMP {problem}")
    pixel_limit.check(header.width * header.height, pixels)
    with target.open("wb") as out:
        file.rewrite(_changes(file.data, header), out)
    result = MappedFile(target).data
    check_equal("header", header, bmp_header.read(result))
    check_equal("size", len(file.data), len(result))
    return []


def _unsupported(header: Header) -> str | None:
    """Return why a BMP of this kind is refused."""
    bits, compression = header.bits, header.compression
    if not header.is_known:
        return f"has a header of {header.size} bytes, which is of no known version"
    names = _OS2_NAMES if header.is_os2 else _NAMES
    if compression in names:
        return f"contains {names[compression]}, which is not supported"
    if compression in _RUN_BITS:
        is_known = bits == _RUN_BITS[compression]
    elif compression in (BITFIELDS, _ALPHA_BITFIELDS):
        is_known = bits in _MASKED_BITS
    else:
        is_known = compression == NO_COMPRESSION and (header.has_table or bool(header.masks))
    if not is_known:
        return f"has {bits} bits per pixel and compression {compression}, which is not supported"
    return None


def _damaged(header: Header, size: int) -> str | None:
    """Return what is wrong with a header."""
    end = header.start + header.row_bytes * header.height
    problem = None
    if header.width <= 0 or not header.height:
        problem = "has no width or no height"
    elif header.start >= size:
        problem = "is truncated"
    elif header.colors > _MAX_COLORS:
        problem = f"has a color table of more than {_MAX_COLORS} colors"
    elif header.start < header.table:
        problem = "is damaged: its pixels begin within its header"
    elif header.has_table and not header.colors:
        problem = "has no color table"
    elif not header.has_table and (not all(header.masks[:3]) or header.has_overlapping_masks):
        problem = "has channels without bits, or that share bits"
    elif header.row_bytes > _MAX_ROW_BYTES:
        problem = f"has rows of more than {_MAX_ROW_BYTES} bytes"
    elif header.profile and header.profile[0] < end and header.profile[1] > header.start:
        problem = "is damaged: its color profile overlaps its pixels"
    return problem


def _changes(data: memoryview, header: Header) -> Iterator[Change]:
    """Yield the changes: the color table, and colors that are no indices of it."""
    end = header.table + header.colors * header.color_bytes
    color_bytes = b"\xff\xff\xff\0"[: header.color_bytes] * header.colors
    yield header.table, end, _Inversion(color_bytes).of(bytes(data[header.table : end]))
    if header.compression in _RUN_BITS:
        _check_runs(data, header)
    elif header.has_table and header.colors < 1 << header.bits:
        for _, rows in _rows(data, header):
            _check_indices(rows, header)
    elif header.has_table:
        _check_whole(data, header)
    else:
        color_bits = sum(header.masks[:3]).to_bytes(header.bits // 8, "little")
        inversion = _Inversion((color_bits * header.width).ljust(header.row_bytes, b"\0"))
        for start, rows in _rows(data, header):
            yield start, start + len(rows), inversion.of(rows)


class _Inversion:
    """Inverts the bits of a mask that is repeated: as large numbers, which is fast in Python."""

    def __init__(self, mask: bytes) -> None:
        self._mask, self._size, self._repeated = mask, 0, 0
        self._is_whole = mask.count(0xFF) == len(mask)

    def of(self, data: bytes) -> bytes:
        """Return the data inverted."""
        if self._is_whole:
            return data.translate(COMPLEMENT)
        if len(data) != self._size:
            self._size = len(data)
            repeated = self._mask * -(-self._size // len(self._mask))
            self._repeated = int.from_bytes(repeated[: self._size], "little")
        inverted = int.from_bytes(data, "little") ^ self._repeated
        return inverted.to_bytes(self._size, "little")


def _check_whole(data: memoryview, header: Header) -> None:
    """Refuse a BMP that lacks rows; the last row's padding may be missing."""
    unpadded = -(-header.width * header.bits // 8)
    if header.start + header.row_bytes * (header.height - 1) + unpadded > len(data):
        raise InvalidInput("the BMP is truncated")


def _rows(data: memoryview, header: Header) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and bytes of some rows at a time."""
    _check_whole(data, header)
    end = min(header.start + header.row_bytes * header.height, len(data))
    step = max(1, _PIECE_BYTES // header.row_bytes) * header.row_bytes
    for start in range(header.start, end, step):
        yield start, bytes(data[start : min(start + step, end)])


def _check_indices(rows: bytes, header: Header) -> None:
    """Refuse indices beyond the color table, whose color depends on the program that shows them."""
    unused = header.row_bytes * 8 - header.width * header.bits
    mask = (((1 << header.row_bytes * 8) - 1) >> unused << unused).to_bytes(header.row_bytes, "big")
    masks = mask * -(-len(rows) // len(mask))
    used = int.from_bytes(rows, "big") & int.from_bytes(masks[: len(rows)], "big")
    if used.to_bytes(len(rows), "big").translate(None, _bytes_of_indices(header)):
        raise InvalidInput("the BMP has pixels of colors beyond its color table")


def _bytes_of_indices(header: Header) -> bytes:
    """Return the bytes of which all indices are in the color table."""
    mask, shifts = (1 << header.bits) - 1, range(0, 8, header.bits)
    return bytes(
        byte for byte in range(256) if all(byte >> s & mask < header.colors for s in shifts)
    )


def _check_runs(data: memoryview, header: Header) -> None:
    """Refuse runs that lack their end, or that use indices beyond the color table."""
    known, at, x, y = _bytes_of_indices(header), header.start, 0, 0
    while at + 1 < len(data):
        count, value = data[at], data[at + 1]
        at += 2
        used = bytes([value])
        if not count:
            used = b""
            if value == _END:
                return
            if value == _END_OF_ROW:
                x, y = 0, y + 1
            elif value == _DELTA:
                right, up = (int.from_bytes(data[at + i : at + i + 1], "little") for i in (0, 1))
                x, y, at = x + right, y + up, at + 2
            else:
                count, length = value, -(-value * header.bits // 8)
                used = bytes(data[at : at + length])
                at += length + length % 2
        x += count
        if used.translate(None, known):
            raise InvalidInput("the BMP has pixels of colors beyond its color table")
    if y + (x >= header.width) < header.height:
        raise InvalidInput("the BMP is truncated")
