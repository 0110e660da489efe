"""What decodes and encodes the pictures in a HEIF file."""

from dataclasses import dataclass
from typing import Protocol

#: Kinds of HEIF properties: how the data are coded, size, color, crop.
CONFIGURATIONS = {b"hvc1": b"hvcC", b"av01": b"av1C"}
COLOR, NCLX = b"colr", b"nclx"


@dataclass(frozen=True)
class Nclx:
    """What the numbers of a picture mean (ITU-T H.273).

    Attributes:
        primaries, transfer, matrix: Codes of the color space.
        is_full: Whether the numbers use the full range.
    """

    primaries: int = 1
    transfer: int = 13
    matrix: int = 6
    is_full: bool = True

    @classmethod
    def read(cls, content: bytes) -> "Nclx":
        """Return what the content of a property `colr` of the type `nclx` says."""
        primaries, transfer, matrix = (
            int.from_bytes(content[at : at + 2], "big") for at in (4, 6, 8)
        )
        return cls(primaries, transfer, matrix, bool(content[10:11] and content[10] & 0x80))

    def written(self) -> bytes:
        """Return such a content."""
        numbers = (self.primaries, self.transfer, self.matrix)
        return NCLX + b"".join(n.to_bytes(2, "big") for n in numbers) + bytes([self.is_full << 7])


@dataclass(frozen=True)
class Pixels:
    """A decoded picture.

    Attributes:
        mode: `L` or `RGB`.
        size: Width and height.
        bits: Of a sample. More than 8 are the upper ones of 16, little-endian.
        data: The samples.
    """

    mode: str
    size: tuple[int, int]
    bits: int
    data: bytes


class Codec(Protocol):
    """A way of coding pictures. Both methods take or make a HEIF file of one picture."""

    name: str
    kind: bytes

    def layout(self, configuration: bytes) -> tuple[int, str]:
        """Return the bits of a sample, and the subsampling as 4:2:0, of a configuration.

        Raises InvalidInput if they are not supported.
        """

    def decode(self, file: bytes) -> Pixels:
        """Return the picture's pixels; raises what its library raises."""

    def encode(self, pixels: Pixels, subsampling: str, nclx: Nclx) -> tuple[bytes, Nclx]:
        """Return a file with these pixels, and what its numbers mean; may raise MemoryError."""
