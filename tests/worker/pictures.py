"""Small pictures in memory, and their exact negatives."""

import random
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops


def picture(seed: int = 0, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    """Distinct for each seed, smooth enough for JPEG."""
    dice = random.Random(seed)  # noqa: S311
    small = Image.frombytes("RGB", (4, 3), dice.randbytes(36))
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """As a file of the kind."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(data: bytes) -> Image.Image:
    """From a file."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def negated(data: bytes) -> Image.Image:
    """What a file's negative must look like."""
    return ImageChops.invert(decode(data).convert("RGB"))


def error(left: Image.Image, right: Image.Image) -> int:
    """The largest difference of any channel of any pixel."""
    extrema = ImageChops.difference(left.convert("RGB"), right.convert("RGB")).getextrema()
    return max(int(high) for _, high in extrema)  # type: ignore[misc]
