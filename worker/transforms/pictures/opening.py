"""Open pictures with Pillow: what it would misread is refused, and its errors become reasons."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from worker.errors import InvalidInput
from worker.transforms.pictures import (
    encoding,
    formats,
    heif_library,
    inspection,
    libtiff_messages,
    pillow_codecs,
    pixel_limit,
    tiff_directories,
    tiff_pages,
    webp_header,
)
from worker.transforms.pictures.decoding import DECODER_BYTES, memory_errors, translated_errors
from worker.transforms.pictures.formats import Format
from worker.transforms.pictures.inspection import Inspection
from worker.transforms.pictures.mapped_file import MappedFile

_FORMATS = (
    *(formats.JPEG, formats.PNG, formats.GIF, formats.TIFF, formats.WEBP, formats.BMP),
    *(formats.PNM, formats.AVIF, formats.JPEG_2000, formats.HEIC),
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
_FIRST_SWAPPED = 5  # the orientations from here on exchange width and height


@dataclass(frozen=True)
class Picture:
    """An opened picture: its first frame or page.

    Attributes:
        image: As Pillow has opened it; a JPEG is not decoded yet.
        format: Its format.
        orientation: How it is turned, as EXIF numbers it; 1 if that is unknown.
        found: What it has besides its pixels.
        info: What Pillow read besides its pixels.
    """

    image: Image.Image
    format: Format
    orientation: int
    found: Inspection
    info: Mapping[str, Any]

    @property
    def is_swapped(self) -> bool:
        """Whether its width is the height of what is shown."""
        return self.orientation >= _FIRST_SWAPPED

    def decoded(self, wanted: tuple[int, int] | None = None) -> tuple[Image.Image, float]:
        """Decode the picture, once.

        Args:
            wanted: Width and height that suffice. A JPEG is decoded at 1/2, 1/4 or 1/8 of its size
                if that has them; other formats ignore this.

        Returns:
            It in one of the modes that `encoding.normalized` returns, not turned upright; and its
            pixels per pixel of the file, in each direction.
        """
        width = self.image.width
        draft = self.image.draft(None, wanted) if wanted else None
        self.image.load()
        return encoding.normalized(self.image), draft[1][2] / width if draft else 1.0

    def upright(self, image: Image.Image) -> Image.Image:
        """Turn the picture, or a part of it, upright."""
        return image.transpose(_TURN[self.orientation]) if self.orientation in _TURN else image


@contextmanager
def opened(path: Path, max_pixels: int, further: Collection[str] = ()) -> Iterator[Picture]:
    """Open a picture for a block that decodes it and uses Pillow.

    Args:
        path: The file.
        max_pixels: The most pixels that it may have.
        further: Formats that are taken too: keys of `formats.OPTIONAL`.

    Yields:
        The picture.

    Raises:
        InvalidInput: It is damaged, not supported or too large.
        UploadDeferred: The package for HEIC, or another module, is missing.
        MemoryError: There is not enough memory.
    """  # noqa: DOC502  raised by what it calls
    file = MappedFile(path)
    known = formats.recognize(file.data, _FORMATS, further)
    inspection.check(file.data, known, max_pixels)
    pillow_codecs.load(known)
    if known == formats.HEIC:
        heif_library.load().register_heif_opener()
    needed = 0
    if known == formats.WEBP:  # Image.open makes the decoder
        width, height = webp_header.canvas(file.data)
        pixel_limit.check(width * height, max_pixels)
        needed = DECODER_BYTES[known.name] * width * height
    try:
        with (
            libtiff_messages.captured() as messages,
            translated_errors(known.name, max_pixels),
            path.open("rb") as stream,
            memory_errors(needed),
            Image.open(stream, formats=(known.pillow,)) as image,
            memory_errors(_decoder_bytes(known, image)),
        ):
            pixel_limit.check(image.width * image.height, max_pixels)
            if known != formats.JPEG:
                image.load()  # a PNG's EXIF may follow its pixels
            # Pillow turns a TIFF as it loads it.
            tags = {} if known == formats.TIFF else inspection.exif(image)
            found = inspection.inspect(file.data, known, image)
            info = {str(name): value for name, value in image.info.items()}
            image.info[encoding.KEY] = found.transparency
            orientation = tags.get(_ORIENTATION)
            turn = orientation if orientation in _TURN else 1
            yield Picture(image, known, turn, found, info)
    except InvalidInput as error:
        if known != formats.TIFF:
            raise
        # Pillow's own message is seldom more than a number.
        page = tiff_pages.described(tiff_directories.read(file.data).pages[0])
        problem = f"the TIFF is damaged or not supported: it has {page}"
        raise InvalidInput(problem) from error
    if re.search(rb"^Fax\w*:", messages, re.MULTILINE):
        raise InvalidInput("the TIFF's CCITT data is damaged")


def _decoder_bytes(known: Format, image: Image.Image) -> int:
    """Return what decoding takes at most, 0 if the decoder itself reports missing memory."""
    is_progressive = known == formats.JPEG and image.info.get("progressive")
    name = "progressive JPEG" if is_progressive else known.name
    return DECODER_BYTES.get(name, 0) * image.width * image.height
