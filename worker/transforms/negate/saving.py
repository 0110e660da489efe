"""What to ask of Pillow so that a file keeps its kind, its quality and its metadata."""

import struct
from typing import Any

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from worker.transforms.negate import previews

_SINGLE_FRAME = {"JPEG", "MPO", "BMP", "PPM"}
# Tags that Pillow writes itself, from the pixels it is given.
_TIFF_LAYOUT = {255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322}
_TIFF_LAYOUT |= {323, 324, 325, 330, 338, 339, 347, 512, 513, 514, 530, 532}
_TIFF_LAYERS = {37724}  # ImageSourceData: Photoshop's, with their pixels as they were
_TIFF_DIRECTORIES = {34665, 34853}  # EXIF's and GPS's, by their places in the file
_TIFF_INTEROPERABILITY = 40965  # another such place, in EXIF's


def options(image: Image.Image, *, lossless: bool) -> dict[str, Any]:
    """Arguments of `save` for the frame the image is at; lossless: for WebP."""
    kept = {
        name: image.info[name]
        for name in ("exif", "icc_profile", "dpi", "xmp", "comment")
        if image.info.get(name)
    }
    if "exif" in kept:
        kept["exif"] = b"Exif\0\0" + previews.exif(kept["exif"].removeprefix(b"Exif\0\0"))
    if "xmp" in kept:
        kept["xmp"] = previews.xmp(kept["xmp"])
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return kept | {
            "qtables": image.quantization,
            "subsampling": JpegImagePlugin.get_sampling(image),
            "progressive": bool(image.info.get("progressive")),
            "keep_rgb": _stored_as_rgb(image),
            "optimize": True,
        }
    if image.format == "PNG":
        return kept | {"pnginfo": _png_chunks(image)} | _palette_bits(image)
    if image.format == "TIFF":
        return _tiff(image)
    if image.format == "WEBP":
        return kept | {"lossless": lossless, "exact": True, "quality": 90}
    return kept


def frame_options(image: Image.Image, durations: list[int]) -> dict[str, Any]:
    """Arguments of `save` for a file of several frames."""
    if image.format in ("PNG", "WEBP"):
        timing = {"duration": durations, "loop": image.info.get("loop", 0)}
        if image.format == "PNG":
            return timing | {"default_image": bool(image.info.get("default_image")), "blend": 0}
        return timing | {"background": image.info.get("background", (0, 0, 0, 0))}
    return {}


def has_frames(image: Image.Image) -> bool:
    """Whether the file's kind holds several frames and this one does."""
    return image.format not in _SINGLE_FRAME and getattr(image, "n_frames", 1) > 1


def _stored_as_rgb(image: JpegImagePlugin.JpegImageFile) -> bool:
    return image.mode == "RGB" and (
        image.info.get("adobe_transform") == 0
        or [component[0] for component in image.layer] == [ord(c) for c in "RGB"]
    )


def _png_chunks(image: Image.Image) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    if "gamma" in image.info:
        chunks.add(b"gAMA", struct.pack(">I", round(image.info["gamma"] * 100_000)))
    if "srgb" in image.info:
        chunks.add(b"sRGB", bytes([image.info["srgb"]]))
    for keyword, text in getattr(image, "text", {}).items():
        chunks.add_text(keyword, text)
    return chunks


def _palette_bits(image: Image.Image) -> dict[str, int]:
    if image.mode != "P" or not image.palette:
        return {}
    colours = len(image.palette.getdata()[1]) // len(image.palette.mode)
    return {"bits": next(bits for bits in (1, 2, 4, 8) if colours <= 1 << bits)}


def _tiff(image: Image.Image) -> dict[str, Any]:
    assert isinstance(image, TiffImagePlugin.TiffImageFile)  # noqa: S101
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    compression = image.info.get("compression")
    for tag, value in image.tag_v2.items():
        if tag in _TIFF_DIRECTORIES:
            # With compression Pillow can write none (13.0, "Error setting from dictionary").
            if compression == "raw" and (directory := _tiff_directory(image, tag)):
                tags[tag] = directory
        elif tag not in _TIFF_LAYOUT | _TIFF_LAYERS:
            tags[tag] = previews.tag(tag, value) if isinstance(value, bytes) else value
            tags.tagtype[tag] = image.tag_v2.tagtype[tag]
    return {"tiffinfo": tags, "compression": compression}


def _tiff_directory(image: Image.Image, where: int) -> dict[int, Any]:
    """The fields of a directory, to be written anew; none where they are damaged."""
    fields = {
        tag: previews.tag(tag, value) if isinstance(value, bytes) else value
        for tag, value in image.getexif().get_ifd(where).items()
        if tag != _TIFF_INTEROPERABILITY
    }
    trial = TiffImagePlugin.ImageFileDirectory_v2(group=where)
    try:
        trial.update(fields)
        trial.tobytes()
    except Exception:  # noqa: BLE001  Pillow may raise anything over a bad value
        return {}
    return fields
