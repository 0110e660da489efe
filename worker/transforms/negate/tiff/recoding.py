"""Negate a segment (a strip or a tile) of a TIFF between decoding and encoding.

LZW and PackBits data of which every bit is complemented is neither decoded nor encoded; see tiff.c.
"""

from collections.abc import Iterator

from worker.errors import InvalidInput
from worker.transforms.negate import tiff_kernels
from worker.transforms.negate.tiff import codecs
from worker.transforms.negate.tiff.complement import complement, mask
from worker.transforms.negate.tiff.samples import Samples
from worker.transforms.negate.tiff_kernels import TiffStatus
from worker.transforms.pictures.tiff_pages import LZW, NO_COMPRESSION, PACKBITS

_PIECE = 1 << 18
_MAX_ROW_BYTES = 1 << 26
_DENSE = 4  # photographs are not compressed to less than a fourth, graphics are


def recoded(
    data: memoryview, compression: int, samples: Samples, rows: int
) -> Iterator[bytes | bytearray | memoryview]:
    """Negate a segment.

    Args:
        data: The segment.
        compression: One of `codecs.SUPPORTED`.
        samples: How its samples are stored.
        rows: Its rows.

    Yields:
        Pieces of the negative segment: as long as the segment if that is not compressed.

    Raises:
        InvalidInput: The segment is damaged, too short, or cannot be negated.
    """
    row_bytes, size = samples.row_bytes, samples.row_bytes * rows
    if row_bytes > _MAX_ROW_BYTES:
        raise InvalidInput(f"the TIFF has rows of more than {_MAX_ROW_BYTES} bytes")
    row_mask = mask(samples)
    is_whole = samples.predictor == 1 and row_mask.count(0xFF) == row_bytes
    if is_whole and not samples.is_premultiplied and compression in (LZW, PACKBITS):
        yield _complemented_code(data, compression, size)
        return
    pieces = _whole_rows(codecs.decoded(compression, data, size), row_bytes)
    if compression == NO_COMPRESSION:
        for piece in pieces:
            complement(piece, samples, row_mask)
            yield piece
        yield data[size:]
        return
    encoder = codecs.encoder(compression, row_bytes, fast=len(data) > size / _DENSE)
    for piece in pieces:
        complement(piece, samples, row_mask)
        yield encoder.compress(piece)
    yield encoder.flush()


def _complemented_code(data: memoryview, compression: int, size: int) -> bytearray:
    name, function = {
        LZW: ("LZW", tiff_kernels.complement_lzw),
        PACKBITS: ("PackBits", tiff_kernels.complement_packbits),
    }[compression]
    status, result, length = function(data, size)
    if status == TiffStatus.DAMAGED:
        raise codecs.damaged(name)
    if length < size:
        raise InvalidInput(codecs.TOO_SHORT)
    return result


def _whole_rows(pieces: Iterator[bytes | memoryview], row_bytes: int) -> Iterator[bytearray]:
    """Yield whole rows of about `_PIECE` bytes."""
    step = max(1, _PIECE // row_bytes) * row_bytes
    rows = bytearray()
    for piece in (memoryview(piece) for piece in pieces):
        at = step - len(rows) if rows else 0
        rows += piece[:at]
        if len(rows) == step:
            yield rows
            rows = bytearray()
        for start in range(at, len(piece) - step + 1, step):
            yield bytearray(piece[start : start + step])
            at = start + step
        rows += piece[at:]
    if rows:
        yield rows
