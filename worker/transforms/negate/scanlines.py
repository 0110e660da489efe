"""Negate the compressed scanlines of a PNG (W3C PNG, 9 and 10) between inflate and deflate."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from worker.errors import InvalidInput
from worker.transforms.negate import kernels
from worker.transforms.negate.kernels import PngStatus

_zlib: Any = zlib
with suppress(ImportError):  # no wheel for this machine: zlib is several times slower
    _zlib = import_module("isal.isal_zlib")

crc32: Callable[..., int] = _zlib.crc32
_ERRORS = (zlib.error, getattr(_zlib, "error", zlib.error))
_LEVEL = 2
_PIECE = 1 << 18
_MAX_ROW_BYTES = 1 << 24
# Adam7 (8.1): first column and row, steps between columns and rows.
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


class DecodingNeeded(Exception):
    """A row's filter depends on decoded neighbors: start again with `decoding`."""


@dataclass(frozen=True)
class Layout:
    """How pixels are stored in rows.

    Attributes:
        bits: Bits of a pixel.
        color_bytes: Bytes of a pixel (or of a byte of pixels) that are not alpha.
        interlaced: Whether rows come in the passes of Adam7.
    """

    bits: int
    color_bytes: int
    interlaced: bool

    def passes(self, width: int, height: int) -> list[tuple[int, int]]:
        """Return (rows, bytes of a row) of each pass that is not empty."""
        steps = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        found = []
        for x, y, across, down in steps:
            columns, rows = -(-(width - x) // across), -(-(height - y) // down)
            if columns > 0 and rows > 0:
                found.append((rows, (columns * self.bits + 7) // 8))
        return found


class Scanlines:
    """The data of one picture: takes it piece by piece and gives the negative's."""

    def __init__(self, layout: Layout, width: int, height: int, *, decoding: bool) -> None:
        self._pixel_bytes = max(1, layout.bits // 8)
        self._color_bytes = layout.color_bytes
        self._passes = layout.passes(width, height)
        self._decoding, self._decoded = decoding, bytearray()
        self._first = True
        self._rows = bytearray()
        self._inflate, self._deflate = _zlib.decompressobj(), _zlib.compressobj(_LEVEL)
        if max(row_bytes for _, row_bytes in self._passes) > _MAX_ROW_BYTES:
            raise InvalidInput(f"the PNG has rows of more than {_MAX_ROW_BYTES} bytes")
        self._begin_pass()

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Take compressed data.

        Args:
            data: The next part of the picture's data.

        Yields:
            What is ready of the negative's data.
        """
        while not self._inflate.eof:
            # After the last row, one more byte is requested so that zlib checks the checksum.
            piece = self._decompress(data, _PIECE if self._passes else 1)
            data = self._inflate.unconsumed_tail
            if not self._passes:
                return
            self._rows += piece
            yield from self._whole_rows()
            if not data and len(piece) < _PIECE and self._passes:
                return

    def finish(self) -> bytes:
        """Return the end of the negative's data.

        Returns:
            The last compressed bytes.

        Raises:
            InvalidInput: Rows or the end of the compressed data are missing.
        """
        if self._passes or not self._inflate.eof:
            raise InvalidInput("the PNG's image data is truncated")
        return bytes(self._deflate.flush())

    def _decompress(self, data: bytes | memoryview, most: int) -> bytes:
        try:
            return bytes(self._inflate.decompress(data, most))
        except _ERRORS:
            raise InvalidInput("the PNG's image data is damaged") from None

    def _begin_pass(self) -> None:
        self._first = True
        self._decoded = bytearray(2 * self._passes[0][1] if self._decoding and self._passes else 0)

    def _whole_rows(self) -> Iterator[bytes]:
        while self._passes:
            missing, row_bytes = self._passes[0]
            count = min(len(self._rows) // (row_bytes + 1), missing)
            if not count:
                return
            rows = self._rows[: count * (row_bytes + 1)]
            del self._rows[: count * (row_bytes + 1)]
            status = kernels.negate_png_rows(
                *(rows, row_bytes, self._pixel_bytes, self._color_bytes),
                self._decoded if self._decoding else None,
                first=self._first,
            )
            if status == PngStatus.NEEDS_DECODED:
                raise DecodingNeeded
            if status != PngStatus.DONE:
                raise InvalidInput("the PNG has a row with an unknown filter")
            self._first = False
            self._passes[0] = (missing - count, row_bytes)
            if missing == count:
                del self._passes[0]
                if self._passes:
                    self._begin_pass()
            yield bytes(self._deflate.compress(rows))
