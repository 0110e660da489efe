"""How the samples of a segment (a strip or a tile) of a TIFF are stored."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Samples:
    """How the samples of one segment are stored, once it is decompressed.

    Attributes:
        bits: Of each sample, 1 to 32.
        channels: Of a pixel within the segment; 1 if planes are separate.
        color_channels: How many of them, from the first, are complemented; the others stay.
        is_premultiplied: Whether associated alpha follows the colors, which are a − c then.
        columns: Pixels of a row: a tile's width, or the image's.
        order: Byte order of samples of 16 and 32 bits.
        predictor: 1: none, 2: horizontal differences (TIFF 6.0, section 14).
        fill_order: 1: a byte's first bit is its most significant one, 2: its least significant.
    """

    bits: int
    channels: int
    color_channels: int
    is_premultiplied: bool
    columns: int
    order: Literal["little", "big"]
    predictor: int = 1
    fill_order: int = 1

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, which begins at a byte."""
        return (self.bits * self.channels * self.columns + 7) // 8
