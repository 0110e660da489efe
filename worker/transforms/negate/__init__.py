"""Negate a picture, as `convert -negate` does: the same format, its metadata kept.

EXIF orientation is kept, not applied. What cannot be kept whole is refused (docs/pictures.md).
Systems for which no kernels are prebuilt defer pictures until they have compiled some.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from worker.transforms import Input, Produced
from worker.transforms.negate import bmp, gif, heif, jpeg, jpeg2000, kernels, png, pnm, tiff, webp
from worker.transforms.negate.parameters import Parameters
from worker.transforms.pictures import formats
from worker.transforms.pictures.formats import Format
from worker.transforms.pictures.mapped_file import MappedFile

#: Each writes the negative of a file of at most so many pixels; it returns the job's notes: what
#: was dropped or changed on purpose, a phrase each.
_NEGATE: Mapping[Format, Callable[[MappedFile, Path, int], list[str]]] = {
    formats.JPEG: jpeg.negate,
    formats.PNG: png.negate,
    formats.GIF: gif.negate,
    formats.TIFF: tiff.negate,
    formats.WEBP: webp.negate,
    formats.BMP: bmp.negate,
    formats.PNM: pnm.negate,
    formats.JPEG_2000: jpeg2000.negate,
    formats.AVIF: heif.negate_avif,
    formats.HEIC: heif.negate_heic,
}


def apply(inputs: Sequence[Input], outputs: Path, parameters: Parameters) -> Produced:
    """Write the negative of a picture; see `Transform.apply`."""
    (source,) = inputs
    target = outputs / "negative"
    content_type, notes = negate_file(source.path, target, source.max_pixels, parameters.formats)
    return Produced([(target, content_type)], notes=notes)


def negate_file(
    source: Path, target: Path, max_pixels: int, further: Collection[str] = ()
) -> tuple[str, list[str]]:
    """Write the negative of a picture.

    Args:
        source: The picture.
        target: Where the negative goes; undefined content after an error.
        max_pixels: The most pixels that it may have.
        further: Formats that are taken too: keys of `formats.OPTIONAL`.

    Returns:
        The negative's content type, and notes on what was dropped or changed on purpose.

    Raises:
        InvalidInput: It is not a supported picture, or could not be kept whole.
        UploadDeferred: The compiled kernels are not built yet.
    """  # noqa: DOC502  raised by what it calls
    file = MappedFile(source)
    known = formats.recognize(file.data, _NEGATE, further)
    kernels.require()
    notes = _NEGATE[known](file, target, max_pixels)
    return known.content_type, notes
