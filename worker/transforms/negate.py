"""Negate an image, as `convert -negate` does: the same kind of file, its metadata kept.

EXIF orientation is kept, not applied; of a multi-picture JPEG the first picture is the result.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image, ImageSequence, PngImagePlugin, UnidentifiedImageError

from worker.errors import InvalidInput
from worker.transforms import gif, jpeg, png, saving
from worker.transforms.pixels import negative

# Pillow reads more, some of it by programs of others (EPS by Ghostscript): none of that here.
CONTENT_TYPES = {
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "PPM": "image/x-portable-anymap",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}


# Ways that need no decoding, by first bytes; they answer False to what they leave to Pillow.
_FAST = {
    b"\xff\xd8": ("JPEG", jpeg.negate),
    b"\x89PNG": ("PNG", png.negate),
    b"GIF8": ("GIF", gif.negate),
}


def output_key(key: str) -> str:
    """The prefix is kept: a/x.jpg and b/x.jpg do not collide."""
    prefix, slash, name = key.rpartition("/")
    return f"{prefix}{slash}negated_{name}"


def apply(source: Path, target: Path, parameters: Mapping[str, int]) -> str:
    """Write the negative of source to target; InvalidInput where source is not a whole image."""
    pixels = parameters["pixels"]
    with source.open("rb") as file:
        beginning = file.read(4)
    for magic, (kind, way) in _FAST.items():
        if beginning.startswith(magic) and way(source, target, pixels):
            return CONTENT_TYPES[kind]
    Image.MAX_IMAGE_PIXELS = pixels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(source, formats=tuple(CONTENT_TYPES)) as image:
                _check_pixels(image, pixels)
                _negate(image, source, target)
                return CONTENT_TYPES[_kind(image)]
        except UnidentifiedImageError:
            known = ", ".join(CONTENT_TYPES)
            raise InvalidInput(f"it is not an image of a kind we take ({known})") from None
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise InvalidInput(f"it has more than {pixels} pixels") from None


def _kind(image: Image.Image) -> str:
    """Pillow calls a JPEG with more pictures behind the first one MPO."""
    return "JPEG" if image.format == "MPO" else image.format or ""


def _check_pixels(image: Image.Image, pixels: int) -> None:
    width, height = image.size
    if width * height * getattr(image, "n_frames", 1) > pixels:
        raise InvalidInput(f"it has more than {pixels} pixels")
    if (
        isinstance(image, PngImagePlugin.PngImageFile)
        and "16" in str(image.tile[0][3])
        and image.mode != "I;16"
    ):
        # Pillow would round them to 8 bits without a word.
        raise InvalidInput(
            "PNG with 16 bits a channel and several channels needs the compiled kernels"
        )


def _negate(image: Image.Image, source: Path, target: Path) -> None:
    if not saving.has_frames(image):
        image.load()
        negative(image).save(target, _kind(image), **saving.options(image, source))
        return
    durations: list[int] = []
    for frame in ImageSequence.Iterator(image):
        frame.load()
        durations.append(round(frame.info.get("duration", 0)))
    image.seek(0)
    first, options = negative(image), saving.options(image, source)
    options |= saving.frame_options(image, durations)
    first.save(target, _kind(image), save_all=True, append_images=_Rest(image, source), **options)


class _Rest:
    """The frames after the first, negated one by one: an animation need not fit into memory."""

    def __init__(self, image: Image.Image, source: Path) -> None:
        self._image, self._source = image, source

    def __iter__(self) -> Iterator[Image.Image]:
        for number in range(1, getattr(self._image, "n_frames", 1)):
            self._image.seek(number)
            frame = negative(self._image)
            if self._image.format == "TIFF":
                frame.encoderinfo = saving.options(self._image, self._source)
            yield frame
