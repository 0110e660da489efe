"""Write pictures with Pillow: which pixels each format can hold, and how they are coded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from worker.errors import InvalidInput
from worker.transforms.pictures import formats
from worker.transforms.pictures.formats import Format

#: Pillow's modes of gray and RGB, with alpha, and of CMYK and 16-bit gray.
_PLAIN = ("L", "RGB")
_ALPHA = ("LA", "RGBA")
_CMYK, DEEP = "CMYK", "I;16"
#: Where Pillow keeps what stands for transparent.
KEY = "transparency"
_WRITTEN: Mapping[Format, Sequence[str]] = {
    formats.JPEG: (*_PLAIN, _CMYK),
    formats.PNG: (*_PLAIN, *_ALPHA, DEEP),
    formats.GIF: (*_PLAIN, *_ALPHA),
    formats.TIFF: (*_PLAIN, *_ALPHA, _CMYK, DEEP),
    formats.WEBP: (*_PLAIN, *_ALPHA),
    formats.BMP: _PLAIN,
    formats.PNM: (*_PLAIN, DEEP),
}
_OPTIONS: Mapping[Format, Mapping[str, Any]] = {
    formats.JPEG: {"optimize": True},
    formats.TIFF: {"compression": "tiff_lzw"},
}
_LOSSY = (formats.JPEG, formats.WEBP)
_OPAQUE_FROM = 128  # alpha, in a GIF
_GIF_COLORS = 255  # and a transparent one
_MAX_DPI = 65535  # JFIF holds 16 bits


def normalized(image: Image.Image) -> Image.Image:
    """Return a decoded picture in a mode that can be scaled smoothly.

    Args:
        image: The picture.

    Returns:
        It in one of the modes L, LA, RGB, RGBA, CMYK and I;16.

    Raises:
        InvalidInput: Its colors are of another kind.
    """
    mode = image.mode
    has_key = image.info.get(KEY) is not None
    if not has_key:
        image.info.pop(KEY, None)
    if mode in ("1", "L"):
        return _converted(image, "LA" if has_key else "L")
    if mode in ("RGB", "RGBX", "YCbCr"):
        return _converted(image, "RGBA" if has_key else "RGB")
    if mode in ("P", "PA"):
        has_alpha = has_key or mode == "PA" or (image.palette and image.palette.mode == "RGBA")
        return image.convert("RGBA" if has_alpha else "RGB")
    if mode in ("La", "RGBa"):
        return image.convert(mode.upper())
    if mode in ("I", "I;16B"):
        return image.convert(DEEP)
    if mode in (*_ALPHA, _CMYK, DEEP):
        return image
    raise InvalidInput(f"its pixels, of Pillow's mode {mode}, are not supported")


def write(
    image: Image.Image,
    target: Path,
    source: Format,
    info: Mapping[str, Any],
    png_colors: Sequence[tuple[bytes, bytes]],
    *,
    quality: int = 85,
) -> tuple[Format, list[str]]:
    """Write a picture in a format, or as PNG if that cannot hold it.

    Only the color profile, the resolution and a PNG's chunks on colors are written with it.

    Args:
        image: The picture, in one of the modes that `normalized` returns.
        target: The file to write.
        source: The format of the picture that it was made from.
        info: What Pillow read besides the pixels of that.
        png_colors: Type and content of its chunks on the meaning of a PNG's colors.
        quality: Of a JPEG or WebP, 1 to 100.

    Returns:
        The format, and notes on what differs from the picture.
    """
    notes, written = [], source
    if source not in _WRITTEN:
        written, notes = formats.PNG, [f"written as PNG instead of {source.name}"]
    elif image.mode not in _WRITTEN[source]:
        written, notes = formats.PNG, [f"written as PNG: {source.name} would lose transparency"]
    profile = info.get("icc_profile")
    if image.mode == _CMYK and written == formats.PNG:
        image, profile = image.convert("RGB"), None
        notes.append("converted from CMYK to RGB without a color profile")
    options = {**_OPTIONS.get(written, {})}
    if written in _LOSSY:
        options["quality"] = quality
    if profile:
        options["icc_profile"] = profile
    if _is_resolution(info.get("dpi")):
        options["dpi"] = info["dpi"]
    if written == formats.PNG:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        for kind, content in png_colors:
            options["pnginfo"].add(kind, content)
    image.info = {}  # Pillow would write some of it unasked
    if written == formats.GIF:
        image = _with_palette(image)
    image.save(target, written.pillow, **options)
    return written, notes


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """Convert a picture; without a copy, which Pillow would make, if it has the mode."""
    return image if image.mode == mode else image.convert(mode)


def _is_resolution(dpi: object) -> bool:
    return isinstance(dpi, tuple) and all(1 <= value <= _MAX_DPI for value in dpi)


def _with_palette(image: Image.Image) -> Image.Image:
    """Return a picture with at most 256 colors, one of them transparent if it has alpha."""
    if image.mode not in _ALPHA:
        return image if image.mode == "L" else image.quantize(_GIF_COLORS + 1)
    is_transparent = image.getchannel("A").point(lambda alpha: 255 * (alpha < _OPAQUE_FROM))
    result = image.convert("RGB").quantize(_GIF_COLORS)
    result.paste(_GIF_COLORS, mask=is_transparent)
    result.info[KEY] = _GIF_COLORS
    return result
