"""Negate an image, as `convert -negate` does: the same kind of file, its metadata kept.

EXIF orientation is kept, not applied. A file that cannot be kept whole is refused (docs/pictures.md
lists what is); one that only the compiled kernels keep whole waits for them.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence, TiffImagePlugin, UnidentifiedImageError

from worker.errors import InvalidInput, UploadDeferred
from worker.transforms.negate import (
    bmp,
    camera_raw,
    gif,
    jpeg,
    kernels,
    png,
    pnm,
    saving,
    tiff,
    webp,
)
from worker.transforms.negate.mapped_file import MappedFile
from worker.transforms.negate.pixels import negative

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
# Pillow applies a TIFF's orientation (TIFF 6.0, tag 274) when it loads the pixels: how to undo it.
_ORIENTATION = 274
_UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def prepare() -> str | None:
    """Build the compiled kernels if they are not there; a sentence where that failed."""
    if kernels.library is None:
        from worker.transforms.negate import build  # noqa: PLC0415  rarely needed

        try:
            kernels.library = kernels.load(build.build(kernels.cache()).parent)
        except OSError as error:
            return f"Running without the compiled kernels, many times slower: {error}."
    return None


def apply(source: Path, target: Path, parameters: Mapping[str, int]) -> str:
    """Write the negative of source to target and return its content type.

    Raises InvalidInput where source is not a whole image or could not be kept whole, and
    UploadDeferred where only the compiled kernels would keep it whole and they are not built yet.
    """
    pixels = parameters["pixels"]
    with source.open("rb") as file:
        beginning = file.read(camera_raw.LONGEST)
    if maker := camera_raw.kind(beginning):
        raise InvalidInput(f"it is a camera raw file ({maker}), which is not supported")
    for magic, (kind, way) in _FAST.items():
        if beginning.startswith(magic) and way(source, target, pixels):
            return CONTENT_TYPES[kind]
    data = MappedFile(source).data if beginning else memoryview(b"")
    if beginning.startswith((b"II", b"MM")):
        return _negate_tiff(source, target, data, pixels)
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return _negate_webp(source, target, data, pixels)
    if beginning.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif beginning.startswith(b"\x89PNG"):
        if lost := png.lost_by_pillow(data):
            raise UploadDeferred(_waits("PNG", lost))
    elif beginning.startswith(b"BM"):
        bmp.check(data)
    elif pnm.MAGIC.match(beginning):
        pnm.check(data)
    try:
        return _negate_by_pillow(source, target, pixels, lossless=False)
    except UnidentifiedImageError:
        known = ", ".join(CONTENT_TYPES)
        raise InvalidInput(f"it is not an image of a kind we take ({known})") from None


def _waits(kind: str, what: str) -> str:
    return f"the {kind} has {what}, and the compiled kernels that keep it are not built yet"


def _check_jpeg(data: memoryview) -> None:
    lost = jpeg.lost_by_pillow(data)
    if kernels.library is None:
        lost = lost or ("further pictures" if jpeg.has_further_picture(data) else None)
        if lost:
            raise UploadDeferred(_waits("JPEG", lost))
    elif lost:
        raise InvalidInput(f"the JPEG is of a rare kind, and has {lost} that would be lost")


def _negate_tiff(source: Path, target: Path, data: memoryview, pixels: int) -> str:
    before = tiff.read(data)
    tiff.check(before, pixels)
    try:
        content_type = _negate_by_pillow(source, target, pixels, lossless=True)
    except (InvalidInput, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # Pillow's own words may name a file of ours, or nothing but a number.
        pages = "; ".join(dict.fromkeys(page.description for page in before.pages))
        problem = f"the {before.form} is damaged or not supported: it has {pages}"
        raise InvalidInput(problem) from error
    tiff.verify(before, tiff.read(MappedFile(target).data))
    return content_type


def _negate_webp(source: Path, target: Path, data: memoryview, pixels: int) -> str:
    before = webp.read(data)
    try:
        content_type = _negate_by_pillow(source, target, pixels, lossless=before.lossless)
    except UnidentifiedImageError:
        raise InvalidInput("the WebP is damaged") from None
    webp.verify(before, webp.read(MappedFile(target).data))
    return content_type


def _negate_by_pillow(source: Path, target: Path, pixels: int, *, lossless: bool) -> str:
    Image.MAX_IMAGE_PIXELS = pixels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            # Given a path, Pillow 13.0 maps uncompressed pixels into memory, and reads those of a
            # TIFF with orientation 5 to 8 by the wrong width.
            with source.open("rb") as file, Image.open(file, formats=tuple(CONTENT_TYPES)) as image:
                _check_pixels(image, pixels)
                _negate(image, target, lossless=lossless)
                return CONTENT_TYPES[_kind(image)]
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise InvalidInput(f"it has more than {pixels} pixels") from None


def _kind(image: Image.Image) -> str:
    """Pillow calls a JPEG with more pictures behind the first one MPO."""
    return "JPEG" if image.format == "MPO" else image.format or ""


def _check_pixels(image: Image.Image, pixels: int) -> None:
    width, height = image.size
    frames = 1 if image.format == "TIFF" else getattr(image, "n_frames", 1)
    if width * height * frames > pixels:
        raise InvalidInput(f"it has more than {pixels} pixels")


def _negate(image: Image.Image, target: Path, *, lossless: bool) -> None:
    if not saving.has_frames(image):
        result, options = _frame(image, lossless=lossless)
        result.save(target, _kind(image), **options)
        return
    durations: list[int] = []
    if image.format != "TIFF":
        for frame in ImageSequence.Iterator(image):
            frame.load()
            durations.append(round(frame.info.get("duration", 0)))
    image.seek(0)
    first, options = _frame(image, lossless=lossless)
    options |= saving.frame_options(image, durations)
    first.save(target, _kind(image), save_all=True, append_images=_Rest(image), **options)


def _frame(image: Image.Image, *, lossless: bool) -> tuple[Image.Image, dict[str, Any]]:
    """The negative of the frame the image is at, with the arguments of `save` for it."""
    orientation = None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        orientation = image.tag_v2.get(_ORIENTATION)
    image.load()
    result, options = negative(image), saving.options(image, lossless=lossless)
    if orientation is not None:
        if orientation in _UNDO:
            result = result.transpose(_UNDO[orientation])
        options["tiffinfo"][_ORIENTATION] = orientation
    return result, options


class _Rest:
    """The frames after the first, negated one by one: an animation need not fit into memory."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image

    def __iter__(self) -> Iterator[Image.Image]:
        for number in range(1, getattr(self._image, "n_frames", 1)):
            self._image.seek(number)
            if self._image.format == "TIFF":
                frame, options = _frame(self._image, lossless=True)
                frame.encoderinfo = options
                yield frame
            else:
                yield negative(self._image)
