"""Negate a picture, as `convert -negate` does: the same format, its metadata kept.

EXIF orientation is kept, not applied. What cannot be kept whole is refused (docs/pictures.md).
Systems for which no kernels are prebuilt defer pictures until they have compiled some.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from worker.transforms import Input, Produced
from worker.transforms.negate import jpeg, kernels
from worker.transforms.negate.parameters import Parameters
from worker.transforms.pictures import formats, module_loading, pillow_codecs
from worker.transforms.pictures.formats import Format
from worker.transforms.pictures.mapped_file import MappedFile

#: Writes the negative of a file of at most so many pixels; it returns the job's notes: what was
#: dropped or changed on purpose, a phrase each.
_Negate = Callable[[MappedFile, Path, int], list[str]]


def _imported(module: str, function: str = "negate") -> _Negate:
    """Return a function whose module is imported when it is first called.

    Most pipelines have pictures of one format. The other modules and Pillow would take 2 MB of each
    process, and half of the CPU that its start takes.
    """

    def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
        found = module_loading.load(f"{__name__}.{module}")
        notes: list[str] = getattr(found, function)(file, target, pixels)
        return notes

    return negate


_NEGATE: Mapping[Format, _Negate] = {
    formats.JPEG: jpeg.negate,
    formats.PNG: _imported("png"),
    formats.GIF: _imported("gif"),
    formats.TIFF: _imported("tiff"),
    formats.WEBP: _imported("webp"),
    formats.BMP: _imported("bmp"),
    formats.PNM: _imported("pnm"),
    formats.JPEG_2000: _imported("jpeg2000"),
    formats.AVIF: _imported("heif", "negate_avif"),
    formats.HEIC: _imported("heif", "negate_heic"),
}

# Bytes of the largest JPEG whose negative is made in memory: a file costs more CPU than a copy.
_IN_MEMORY_BYTES = 1 << 20


def apply(inputs: Sequence[Input], outputs: Path, parameters: Parameters) -> Produced:
    """Write the negative of a picture; see `Transform.apply`."""
    (source,) = inputs
    file, known = _opened(source.path, parameters.formats)
    if known is formats.JPEG and len(file.data) <= _IN_MEMORY_BYTES:
        content, notes = jpeg.negated(file, source.max_pixels)
        return Produced(contents=[(content, known.content_type)], notes=notes)
    target = outputs / "negative"
    notes = _NEGATE[known](file, target, source.max_pixels)
    return Produced([(target, known.content_type)], notes=notes)


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
        UploadDeferred: The compiled kernels are not built yet, or a module is missing.
    """  # noqa: DOC502  raised by what it calls
    file, known = _opened(source, further)
    notes = _NEGATE[known](file, target, max_pixels)
    return known.content_type, notes


def _opened(source: Path, further: Collection[str]) -> tuple[MappedFile, Format]:
    file = MappedFile(source)
    known = formats.recognize(file.data, _NEGATE, further)
    kernels.require()
    pillow_codecs.load(known)
    return file, known
