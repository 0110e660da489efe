"""Thumbnails: a function of your own as a pipeline's transform."""

from pathlib import Path
from typing import Literal

from PIL import Image, ImageOps


def thumbnail(
    source: Path, outputs: Path, *, size: int = 256, shape: Literal["whole", "square"] = "whole"
) -> list[dict[str, object]]:
    """Make a thumbnail of a picture, and say how large and how light the picture is."""
    with Image.open(source) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    if shape == "square":
        small = ImageOps.fit(picture, (size, size))
    else:
        small = ImageOps.contain(picture, (size, size))
    small.save(outputs / "thumbnail.jpg", quality=90)
    print(f"{picture.width} x {picture.height} became {small.width} x {small.height}")
    lightness = small.convert("L").resize((1, 1)).getpixel((0, 0))
    return [{"width": picture.width, "height": picture.height, "lightness": lightness}]
