"""Negate a picture, as `convert -negate` does: the same format, its metadata kept.

EXIF orientation is kept, not applied. A picture that cannot be negated without loss is refused; one
that only the compiled kernels negate without loss is deferred. docs/pictures.md lists both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from re import Pattern

from worker.errors import InvalidInput
from worker.transforms import Input, Produced
from worker.transforms.negate import bmp, camera_raw, gif, jpeg, png, pnm, tiff, webp
from worker.transforms.negate.mapped_file import MappedFile


@dataclass(frozen=True)
class _Format:
    """A supported format: how it is recognized and negated."""

    name: str
    content_type: str
    magic: Pattern[bytes]
    negate: Callable[[MappedFile, Path, int], None]


_FORMATS = (
    _Format("JPEG", "image/jpeg", jpeg.MAGIC, jpeg.negate),
    _Format("PNG", "image/png", png.MAGIC, png.negate),
    _Format("GIF", "image/gif", gif.MAGIC, gif.negate),
    _Format("TIFF", "image/tiff", tiff.MAGIC, tiff.negate),
    _Format("WebP", "image/webp", webp.MAGIC, webp.negate),
    _Format("BMP", "image/bmp", bmp.MAGIC, bmp.negate),
    _Format("PNM", "image/x-portable-anymap", pnm.MAGIC, pnm.negate),
)


def apply(inputs: Sequence[Input], outputs: Path, _parameters: None) -> Produced:
    """Write the negative of a picture; see `Transform.apply`."""
    (source,) = inputs
    target = outputs / "negative"
    content_type = negate_file(source.path, target, source.max_pixels)
    return Produced([(target, content_type)])


def negate_file(source: Path, target: Path, max_pixels: int) -> str:
    """Write the negative of a picture.

    Also raises UploadDeferred if only the compiled kernels keep the picture whole, and they are not
    built yet.

    Args:
        source: The picture.
        target: Where the negative goes; undefined content after an error.
        max_pixels: The most pixels that it may have.

    Returns:
        The negative's content type.

    Raises:
        InvalidInput: It is not a supported picture, or could not be kept whole.
    """
    file = MappedFile(source)
    camera_raw.check(file.data)
    for known in _FORMATS:
        if known.magic.match(file.data):
            known.negate(file, target, max_pixels)
            return known.content_type
    names = ", ".join(sorted(known.name for known in _FORMATS))
    raise InvalidInput(f"not a picture in a supported format ({names})")
