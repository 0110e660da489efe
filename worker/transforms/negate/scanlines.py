"""Negate the compressed scanlines of a PNG (W3C PNG, 9 and 10)."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from worker.errors import InvalidInput
from worker.transforms.negate.kernels import PngRows, PngStatus

_zlib: Any = zlib
with suppress(ImportError):  # no wheel for this machine: zlib is several times slower
    _zlib = import_module("isal.isal_zlib")

crc32: Callable[..., int] = _zlib.crc32
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
        passes = layout.passes(width, height)
        if max(row_bytes for _, row_bytes in passes) > _MAX_ROW_BYTES:
            raise InvalidInput(f"the PNG has rows of more than {_MAX_ROW_BYTES} bytes")
        pixel_bytes = max(1, layout.bits // 8)
        self._rows = PngRows(passes, pixel_bytes, layout.color_bytes, decoding=decoding)
        self._rest, self._is_done = b"", False

    def feed(self, data: memoryview) -> Iterator[bytes]:
        """Take compressed data; what follows their end is ignored.

        Args:
            data: The next part of the picture's data.

        Yields:
            What is ready of the negative's data.
        """
        for start in range(0, len(data), _PIECE):
            self._rest += data[start : start + _PIECE]
            yield from self._run(has_all=False)

    def finish(self) -> Iterator[bytes]:
        """Yield the rest of the negative's data.

        Raises:
            InvalidInput: Rows or the end of the compressed data are missing.
        """
        self._rest += bytes(PngRows.PADDING)
        yield from self._run(has_all=True)
        if not self._rows.is_whole:
            raise InvalidInput("the PNG's image data is truncated")

    def _run(self, *, has_all: bool) -> Iterator[bytes]:
        status = PngStatus.NEEDS_SPACE
        while status == PngStatus.NEEDS_SPACE and not self._is_done:
            status, used, negative = self._rows.run(self._rest, has_all=has_all)
            if status == PngStatus.NEEDS_DECODED:
                raise DecodingNeeded
            if status in (PngStatus.DAMAGED, PngStatus.TRUNCATED):
                raise InvalidInput(f"the PNG's image data is {status.name.lower()}")
            self._rest = self._rest[used:]
            self._is_done = status == PngStatus.DONE
            yield negative
