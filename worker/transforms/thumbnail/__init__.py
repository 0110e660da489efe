"""Make a picture smaller, with Pillow: its first frame or page, upright, in the same format.

The color profile is kept; other metadata is dropped and named in the notes. docs/transforms.md
describes the parameters.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from worker.errors import InvalidInput
from worker.transforms import Input, Produced
from worker.transforms.pictures import (
    formats,
    libtiff_messages,
    pixel_limit,
    tiff_directories,
    tiff_pages,
)
from worker.transforms.pictures.decoding import translated_errors
from worker.transforms.pictures.formats import Format
from worker.transforms.pictures.mapped_file import MappedFile
from worker.transforms.thumbnail import encoding, inspection, size
from worker.transforms.thumbnail.parameters import Parameters

_FORMATS = (
    *(formats.JPEG, formats.PNG, formats.GIF, formats.TIFF, formats.WEBP, formats.BMP),
    *(formats.PNM, formats.AVIF, formats.JPEG_2000),
)
_ORIENTATION = 274
# EXIF 2.32, tag 274: how to turn a picture upright.
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_TURNED = 5  # the orientations from here on exchange width and height
# How many times larger than the thumbnail a picture may be decoded or reduced by faster means.
_GAP = 2.0


def apply(inputs: Sequence[Input], outputs: Path, parameters: Parameters) -> Produced:
    """Write the thumbnail of a picture; see `Transform.apply`."""
    (source,) = inputs
    target = outputs / "thumbnail"
    file = MappedFile(source.path)
    known = formats.recognize(file.data, _FORMATS)
    inspection.check(file.data, known, source.max_pixels)
    try:
        with (
            libtiff_messages.captured() as messages,
            translated_errors(known.name, source.max_pixels),
        ):
            written, notes = _write(file, known, target, source.max_pixels, parameters)
    except InvalidInput as error:
        if known != formats.TIFF:
            raise
        # Pillow's own message is seldom more than a number.
        page = tiff_pages.described(tiff_directories.read(file.data).pages[0])
        problem = f"the TIFF is damaged or not supported: it has {page}"
        raise InvalidInput(problem) from error
    if re.search(rb"^Fax\w*:", messages, re.MULTILINE):
        raise InvalidInput("the TIFF's CCITT data is damaged")
    return Produced([(target, written.content_type)], notes=notes)


def _write(
    source: MappedFile, known: Format, target: Path, max_pixels: int, parameters: Parameters
) -> tuple[Format, list[str]]:
    with source.path.open("rb") as file, Image.open(file, formats=(known.pillow,)) as image:
        pixel_limit.check(image.width * image.height, max_pixels)
        if known != formats.JPEG:
            image.load()  # a PNG's EXIF may follow its pixels
        # Pillow turns a TIFF as it loads it.
        orientation = 1 if known == formats.TIFF else inspection.exif(image).get(_ORIENTATION, 1)
        found = inspection.inspect(source.data, known, image)
        info = {str(name): value for name, value in image.info.items()}
        image.info[encoding.KEY] = found.transparency
        thumbnail = _scaled(image, orientation, parameters)
    written, notes = encoding.write(thumbnail, target, known, info, found.png_colors)
    return written, found.notes + notes


def _scaled(image: Image.Image, orientation: int, parameters: Parameters) -> Image.Image:
    """Return the thumbnail of an opened picture, upright."""
    largest = (parameters.width, parameters.height)
    if orientation >= _FIRST_TURNED:
        largest = (parameters.height, parameters.width)
    chosen = size.choose(image.size, largest, crop=parameters.crop)
    scale, (width, height) = _GAP * chosen.scale, image.size
    # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size; other formats ignore this.
    wanted = (max(1, round(width * scale)), max(1, round(height * scale)))
    draft = image.draft(None, wanted)
    ratio = draft[1][2] / width if draft else 1.0
    image.load()
    picture = encoding.normalized(image)
    left, upper, right, lower = (edge * ratio for edge in chosen.box)
    box = (left, upper, min(right, picture.width), min(lower, picture.height))
    # Pillow 13.0 cannot reduce 16-bit gray.
    gap = None if picture.mode == encoding.DEEP else _GAP
    target = (chosen.width, chosen.height)
    thumbnail = picture.resize(target, Image.Resampling.LANCZOS, box, reducing_gap=gap)
    return thumbnail.transpose(_TURN[orientation]) if orientation in _TURN else thumbnail
