"""Decode and encode the compressed segments of TIFFs, piece by piece."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from worker.errors import InvalidInput
from worker.transforms.negate import tiff_kernels
from worker.transforms.negate.tiff_kernels import TiffStatus
from worker.transforms.pictures.tiff_pages import DEFLATE, LZW, NO_COMPRESSION, PACKBITS, ZSTD

_fast_zlib: Any = zlib
with suppress(ImportError):  # no wheel for this machine: zlib is several times slower
    _fast_zlib = import_module("isal.isal_zlib")
_zstd: Any
try:
    _zstd = import_module("compression.zstd")  # from Python 3.14 on
except ImportError:
    _zstd = import_module("backports.zstd")

#: The compressions that are decoded and encoded here.
SUPPORTED = frozenset({NO_COMPRESSION, LZW, *DEFLATE, PACKBITS, ZSTD})

#: The reason to refuse a segment that decodes to too few bytes.
TOO_SHORT = "the TIFF has a strip or tile with too few bytes"

_WITH_CHECKSUM = (*DEFLATE, ZSTD)  # after the last byte
_ZLIB_ERRORS = (zlib.error, getattr(_fast_zlib, "error", zlib.error))
# Where speed counts: ISA-L's 2 makes photographs 1.04 times as large as zlib's 6, in a twentieth of
# its time, but graphics 1.5 times. The others are what most writers use.
_FAST_ZLIB_LEVEL, _FAST_ZSTD_LEVEL = 2, 3
_ZLIB_LEVEL, _ZSTD_LEVEL = 6, 9
_PIECE = 1 << 18


class Encoder(Protocol):
    """Encodes the rows of a segment."""

    def compress(self, data: bytearray, /) -> bytes:
        """Take whole rows, and return what of the code is ready."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


class _PackBitsEncoder:
    def __init__(self, row_bytes: int) -> None:
        self._row_bytes = row_bytes

    def compress(self, data: bytearray) -> bytes:
        return tiff_kernels.encode_packbits(data, self._row_bytes)

    def flush(self) -> bytes:
        return b""


def encoder(compression: int, row_bytes: int, *, fast: bool = False) -> Encoder:
    """Return an encoder for a segment.

    Args:
        compression: One of `SUPPORTED`, but not `NO_COMPRESSION`.
        row_bytes: Bytes of a row.
        fast: Whether speed counts more than size, as for photographs.

    Returns:
        The encoder.
    """
    if compression == LZW:
        return tiff_kernels.LzwEncoder()
    if compression == PACKBITS:
        return _PackBitsEncoder(row_bytes)
    made: Encoder
    if compression == ZSTD:
        made = _zstd.ZstdCompressor(_FAST_ZSTD_LEVEL if fast else _ZSTD_LEVEL)
    else:
        made = _fast_zlib.compressobj(_FAST_ZLIB_LEVEL) if fast else zlib.compressobj(_ZLIB_LEVEL)
    return made


def decoded(compression: int, data: memoryview, size: int) -> Iterator[bytes | memoryview]:
    """Decode a segment.

    Also raises InvalidInput if the segment is damaged.

    Args:
        compression: One of `SUPPORTED`.
        data: The segment.
        size: Its length once it is decoded; what comes after it is ignored, as readers do.

    Yields:
        Pieces of `size` bytes in all.

    Raises:
        InvalidInput: The segment is too short.
    """
    pieces = _DECODERS[compression](data)
    for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            break
    else:
        raise InvalidInput(TOO_SHORT)
    if compression in _WITH_CHECKSUM:
        next(pieces, None)


def _stored(data: memoryview) -> Iterator[memoryview]:
    yield data


def _by_kernel(
    name: str, decode: Callable[[memoryview], Iterator[tuple[TiffStatus, bytes]]]
) -> Callable[[memoryview], Iterator[bytes]]:
    def pieces(data: memoryview) -> Iterator[bytes]:
        for status, piece in decode(data):
            if status == TiffStatus.DAMAGED:
                raise damaged(name)
            yield piece

    return pieces


def _inflated(data: memoryview) -> Iterator[bytes]:
    inflate, at, rest = _fast_zlib.decompressobj(), 0, b""
    try:
        while not inflate.eof and (rest or at < len(data)):
            source = rest or data[at : at + _PIECE]
            at += 0 if rest else _PIECE
            yield inflate.decompress(source, _PIECE)
            rest = inflate.unconsumed_tail
    except _ZLIB_ERRORS:
        raise damaged("Deflate") from None


def _zstandard(data: memoryview) -> Iterator[bytes]:
    decompressor, at = _zstd.ZstdDecompressor(), 0
    try:
        while not decompressor.eof and (at < len(data) or not decompressor.needs_input):
            source = data[at : at + _PIECE] if decompressor.needs_input else b""
            at += len(source)
            yield decompressor.decompress(source, _PIECE)
    except _zstd.ZstdError:
        raise damaged("Zstandard") from None


def damaged(name: str) -> InvalidInput:
    """Return the error for a segment that its codec cannot decode."""
    return InvalidInput(f"the TIFF's {name} data is damaged")


_DECODERS: Mapping[int, Callable[[memoryview], Iterator[bytes | memoryview]]] = {
    NO_COMPRESSION: _stored,
    LZW: _by_kernel("LZW", tiff_kernels.decode_lzw),
    **dict.fromkeys(DEFLATE, _inflated),
    PACKBITS: _by_kernel("PackBits", tiff_kernels.decode_packbits),
    ZSTD: _zstandard,
}
