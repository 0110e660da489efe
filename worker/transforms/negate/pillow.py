"""Negate a picture by decoding and encoding it with Pillow, its quality and metadata kept.

What Pillow would lose must be refused before (see the modules of the formats).
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import (
    Image,
    ImageSequence,
    PngImagePlugin,
    TiffImagePlugin,
)

from worker.transforms.negate import previews
from worker.transforms.negate.pixels import negative
from worker.transforms.pictures import pixel_limit
from worker.transforms.pictures.decoding import translated_errors

_SINGLE_FRAME = {"BMP", "PPM"}
_WEBP_QUALITY = 90
_ORIENTATION, _ICC_PROFILE = 274, 34675
# Pillow applies a TIFF's orientation (TIFF 6.0, tag 274) as it loads the pixels: how to undo it.
_UNDO_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# TIFF tags that Pillow writes itself, from the pixels.
_TIFF_LAYOUT = {255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322}
_TIFF_LAYOUT |= {323, 324, 325, 330, 338, 339, 347, 512, 513, 514, 530, 532}
_TIFF_LAYERS = 37724  # ImageSourceData: Photoshop's layers, with their pixels as they were
_TIFF_DIRECTORIES = {34665, 34853}  # of EXIF and GPS, given by their offsets
_TIFF_INTEROPERABILITY = 40965  # another such offset, in EXIF's


def negate(
    source: Path,
    target: Path,
    pixels: int,
    file_format: str,
    *,
    mapped: bool = True,
    lossless: bool = True,
    chunks: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Write the negative of a picture.

    Raises OSError if a file cannot be read or written.

    Args:
        source: The picture.
        target: Where the negative goes.
        pixels: The most pixels that all its frames may have.
        file_format: Pillow's name of its format.
        mapped: Whether Pillow may map uncompressed pixels into memory.
        lossless: Whether a WebP is to be coded without loss.
        chunks: (type, content) of a PNG's chunks that are copied.

    Raises:
        InvalidInput: The picture is damaged, not supported or too large.
        MemoryError: There is not enough memory.
    """  # noqa: DOC502  raised by what it calls
    with (
        translated_errors(file_format, pixels),
        source.open("rb") as file,
        Image.open(source if mapped else file, formats=(file_format,)) as image,
    ):
        width, height = image.size
        frames = 1 if file_format == "TIFF" else getattr(image, "n_frames", 1)
        pixel_limit.check(width * height * frames, pixels)
        _negate(image, target, file_format, lossless=lossless, chunks=chunks)


def _negate(
    image: Image.Image,
    target: Path,
    file_format: str,
    *,
    lossless: bool,
    chunks: Sequence[tuple[bytes, bytes]],
) -> None:
    if image.format in _SINGLE_FRAME or getattr(image, "n_frames", 1) == 1:
        result, options = _negative_frame(image, lossless=lossless, chunks=chunks)
        result.save(target, file_format, **options)
        return
    durations: list[int] = []
    if file_format != "TIFF":
        for frame in ImageSequence.Iterator(image):
            frame.load()
            durations.append(round(frame.info.get("duration", 0)))
    image.seek(0)
    first, options = _negative_frame(image, lossless=lossless, chunks=chunks)
    options |= _animation_options(image, durations)
    first.save(target, file_format, save_all=True, append_images=_OtherFrames(image), **options)


def _negative_frame(
    image: Image.Image, *, lossless: bool, chunks: Sequence[tuple[bytes, bytes]]
) -> tuple[Image.Image, dict[str, Any]]:
    """Return the negative of the current frame, and the arguments of `save` for it."""
    orientation = None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        orientation = image.tag_v2.get(_ORIENTATION)
    image.load()
    result, options = negative(image), _options(image, lossless=lossless, chunks=chunks)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _ICC_PROFILE not in image.tag_v2:
        # Another page's: Pillow 13.0 keeps it, and would write it to this page as well.
        result.info.pop("icc_profile", None)
    if orientation is not None:
        if orientation in _UNDO_ORIENTATION:
            result = result.transpose(_UNDO_ORIENTATION[orientation])
        # Libtiff refuses any other value; tiff.py restores it afterwards.
        options["tiffinfo"][_ORIENTATION] = orientation if orientation in _UNDO_ORIENTATION else 1
    return result, options


class _OtherFrames:
    """The frames after the first, negated one by one: an animation need not fit into memory."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image

    def __iter__(self) -> Iterator[Image.Image]:
        for number in range(1, getattr(self._image, "n_frames", 1)):
            self._image.seek(number)
            if self._image.format == "TIFF":
                frame, options = _negative_frame(self._image, lossless=True, chunks=())
                frame.encoderinfo = options
                yield frame
            else:
                yield negative(self._image)


def _options(
    image: Image.Image, *, lossless: bool, chunks: Sequence[tuple[bytes, bytes]]
) -> dict[str, Any]:
    kept = {
        name: image.info[name]
        for name in ("exif", "icc_profile", "dpi", "xmp", "comment")
        if image.info.get(name)
    }
    if "exif" in kept:
        block = kept["exif"].removeprefix(b"Exif\0\0")
        kept["exif"] = b"Exif\0\0" + previews.negate_exif(block).data
    if "xmp" in kept:
        kept["xmp"] = previews.negate_xmp(kept["xmp"]).data
    if image.format == "PNG":
        return kept | {"pnginfo": _png_info(image, chunks)}
    if image.format == "TIFF":
        return _tiff_options(image)
    if image.format == "WEBP":
        return kept | {"lossless": lossless, "exact": True, "quality": _WEBP_QUALITY}
    return kept


def _animation_options(image: Image.Image, durations: list[int]) -> dict[str, Any]:
    if image.format in ("PNG", "WEBP"):
        timing = {"duration": durations, "loop": image.info.get("loop", 0)}
        if image.format == "PNG":
            return timing | {"default_image": bool(image.info.get("default_image")), "blend": 0}
        return timing | {"background": image.info.get("background", (0, 0, 0, 0))}
    return {}


def _png_info(image: Image.Image, chunks: Sequence[tuple[bytes, bytes]]) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    if "gamma" in image.info:
        info.add(b"gAMA", struct.pack(">I", round(image.info["gamma"] * 100_000)))
    if "srgb" in image.info:
        info.add(b"sRGB", bytes([image.info["srgb"]]))
    for kind, content in chunks:
        info.add(kind, content)
    for keyword, text in getattr(image, "text", {}).items():
        info.add_text(keyword, text)
    return info


def _tiff_options(image: Image.Image) -> dict[str, Any]:
    assert isinstance(image, TiffImagePlugin.TiffImageFile)  # noqa: S101
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    compression = image.info.get("compression")
    for tag, value in image.tag_v2.items():
        if tag in _TIFF_DIRECTORIES:
            # With compression Pillow can write none (13.0, "Error setting from dictionary").
            if compression == "raw" and (directory := _tiff_directory(image, tag)):
                tags[tag] = directory
        elif tag not in _TIFF_LAYOUT and tag != _TIFF_LAYERS:
            is_bytes = isinstance(value, bytes)
            tags[tag] = previews.negate_tag(tag, value).data if is_bytes else value
            tags.tagtype[tag] = image.tag_v2.tagtype[tag]
    return {"tiffinfo": tags, "compression": compression}


def _tiff_directory(image: Image.Image, tag: int) -> dict[int, Any]:
    """Return the fields of a directory, to be written anew; none if they are damaged."""
    fields = {
        tag: previews.negate_tag(tag, value).data if isinstance(value, bytes) else value
        for tag, value in image.getexif().get_ifd(tag).items()
        if tag != _TIFF_INTEROPERABILITY
    }
    trial = TiffImagePlugin.ImageFileDirectory_v2(group=tag)
    try:
        trial.update(fields)
        trial.tobytes()
    except Exception:  # noqa: BLE001  Pillow may raise anything for a bad value
        return {}
    return fields
