"""One picture's compressed rows (W3C PNG, 10), negated on the way from inflate to deflate."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from worker.errors import InvalidInput
from worker.transforms.negate import kernels

fast: Any = zlib
with suppress(ImportError):  # no wheel for this machine: the standard library is some times slower
    fast = import_module("isal.isal_zlib")

crc32: Callable[..., int] = fast.crc32
_LEVEL = 2
_PIECE = 1 << 18
_LONGEST_ROW = 1 << 24
_ERRORS = (zlib.error, getattr(fast, "error", zlib.error))
# Adam7 (8.1): first column and row, steps between columns and rows.
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


class NeedsDecodedError(Exception):
    """A row depends on decoded neighbours: begin again, decoding."""


@dataclass(frozen=True)
class Layout:
    """How pixels lie in rows."""

    bits: int  # of a pixel
    colours: int  # bytes of a pixel (or of a byte of pixels) that are not alpha
    interlaced: bool

    def passes(self, width: int, height: int) -> list[tuple[int, int]]:
        """(rows, bytes in a row) of each pass that has any."""
        steps = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        found = []
        for x, y, across, down in steps:
            columns, rows = -(-(width - x) // across), -(-(height - y) // down)
            if columns > 0 and rows > 0:
                found.append((rows, (columns * self.bits + 7) // 8))
        return found


class Picture:
    """Takes the data of a picture piece by piece, gives the negative's."""

    def __init__(self, layout: Layout, width: int, height: int, *, decoding: bool) -> None:
        self._pixel = (max(1, layout.bits // 8), layout.colours)
        self._passes = layout.passes(width, height)
        self._decoding, self._decoded = decoding, bytearray()
        self._first = True
        self._rows = bytearray()
        self._inflate, self._deflate = fast.decompressobj(), fast.compressobj(_LEVEL)
        if max(length for _, length in self._passes) > _LONGEST_ROW:
            raise InvalidInput("its rows are too long")
        self._begin_pass()

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Data of the picture; yields what is ready of its negative's."""
        while not self._inflate.eof:
            # Where all rows are there, a last byte is asked for only to have the checksum seen.
            piece = self._decompress(data, _PIECE if self._passes else 1)
            data = self._inflate.unconsumed_tail
            if not self._passes:
                return
            self._rows += piece
            yield from self._whole_rows()
            if not data and len(piece) < _PIECE and self._passes:
                return

    def finish(self) -> bytes:
        """The end of the negative's data; InvalidInput where the picture is not whole."""
        if self._passes or not self._inflate.eof:
            raise InvalidInput("the PNG's image data end too early")
        return bytes(self._deflate.flush())

    def _decompress(self, data: bytes | memoryview, most: int) -> bytes:
        try:
            return bytes(self._inflate.decompress(data, most))
        except _ERRORS:
            raise InvalidInput("the PNG's image data are damaged") from None

    def _begin_pass(self) -> None:
        self._first = True
        self._decoded = bytearray(2 * self._passes[0][1] if self._decoding and self._passes else 0)

    def _whole_rows(self) -> Iterator[bytes]:
        while self._passes:
            left, length = self._passes[0]
            count = min(len(self._rows) // (length + 1), left)
            if not count:
                return
            rows = self._rows[: count * (length + 1)]
            del self._rows[: count * (length + 1)]
            decoded = self._decoded if self._decoding else None
            answer = kernels.png_rows(rows, length, self._pixel, decoded, first=self._first)
            if answer == kernels.NEEDS_DECODED:
                raise NeedsDecodedError
            if answer:
                raise InvalidInput("the PNG has a row with an unknown filter")
            self._first = False
            self._passes[0] = (left - count, length)
            if left == count:
                del self._passes[0]
                if self._passes:
                    self._begin_pass()
            yield bytes(self._deflate.compress(rows))
