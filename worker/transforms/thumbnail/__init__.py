"""Make a picture smaller, with Pillow: its first frame or page, upright, in its format or another.

The color profile is kept; other metadata is dropped and named in the notes. docs/transforms.md
describes the parameters.
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from worker.transforms import Input, Produced
from worker.transforms.pictures import encoding, formats
from worker.transforms.pictures.opening import Picture, opened
from worker.transforms.thumbnail import size
from worker.transforms.thumbnail.parameters import Parameters

# How many times larger than the thumbnail a picture may be decoded or reduced by faster means.
_GAP = 2.0


def apply(inputs: Sequence[Input], outputs: Path, parameters: Parameters) -> Produced:
    """Write the thumbnail of a picture; see `Transform.apply`."""
    (source,) = inputs
    target = outputs / "thumbnail"
    with opened(source.path, source.max_pixels, parameters.formats) as picture:
        thumbnail = _scaled(picture, parameters)
        chosen = formats.CHOICES.get(parameters.format, picture.format)
        written, notes = encoding.write(
            thumbnail, target, chosen, picture.info, picture.found.png_colors
        )
    return Produced([(target, written.content_type)], notes=picture.found.notes + notes)


def _scaled(picture: Picture, parameters: Parameters) -> Image.Image:
    """Return the thumbnail of an opened picture, upright."""
    largest = (parameters.width, parameters.height)
    if picture.is_swapped:
        largest = (parameters.height, parameters.width)
    width, height = picture.image.size
    chosen = size.choose((width, height), largest, crop=parameters.crop)
    scale = _GAP * chosen.scale
    wanted = (max(1, round(width * scale)), max(1, round(height * scale)))
    image, ratio = picture.decoded(wanted)
    left, upper, right, lower = (edge * ratio for edge in chosen.box)
    box = (left, upper, min(right, image.width), min(lower, image.height))
    # Pillow 13.0 cannot reduce 16-bit gray.
    gap = None if image.mode == encoding.DEEP else _GAP
    target = (chosen.width, chosen.height)
    return picture.upright(image.resize(target, Image.Resampling.LANCZOS, box, reducing_gap=gap))
