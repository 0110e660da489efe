"""Small pictures in memory, and their exact negatives."""

import random
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops


def picture(seed: int = 0, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    """Return a picture that differs per seed and is smooth enough for JPEG."""
    dice = random.Random(seed)  # noqa: S311
    small = Image.frombytes("RGB", (4, 3), dice.randbytes(36))
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a file of a format."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(data: bytes) -> Image.Image:
    """Return a file's picture."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def negated(data: bytes) -> Image.Image:
    """Return the exact negative of a file's picture."""
    return ImageChops.invert(decode(data).convert("RGB"))


def error(left: Image.Image, right: Image.Image) -> int:
    """Return the largest difference of any channel of any pixel."""
    extrema = ImageChops.difference(left.convert("RGB"), right.convert("RGB")).getextrema()
    return max(int(high) for _, high in extrema)  # type: ignore[misc]


def deflated_zeros(count: int) -> bytes:
    """`count` zeros as a zlib stream (RFC 1950), computed, not compressed."""
    deflate = zlib.compressobj(9, wbits=-15)
    block = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    rest = deflate.compress(bytes(count % (1 << 20))) + deflate.flush()
    adler32 = (count % 65521 << 16 | 1).to_bytes(4, "big")
    return b"\x78\xda" + block * (count >> 20) + rest + adler32
