"""Recognize the formats of pictures by their first bytes."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from re import Pattern

from worker.errors import InvalidInput
from worker.transforms.pictures import camera_raw, unsupported_formats


@dataclass(frozen=True)
class Format:
    """A format: its names for people, HTTP and Pillow, and how it is recognized."""

    name: str
    content_type: str
    pillow: str
    magic: Pattern[bytes]


JPEG = Format("JPEG", "image/jpeg", "JPEG", re.compile(rb"\xff\xd8"))
PNG = Format("PNG", "image/png", "PNG", re.compile(rb"\x89PNG"))
GIF = Format("GIF", "image/gif", "GIF", re.compile(rb"GIF8"))
TIFF = Format("TIFF", "image/tiff", "TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"))
WEBP = Format("WebP", "image/webp", "WEBP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL))
BMP = Format("BMP", "image/bmp", "BMP", re.compile(rb"BM"))
PNM = Format("PNM", "image/x-portable-anymap", "PPM", re.compile(rb"P[1-7Ff][\s#]"))
# ISO/IEC 23008-12: the codec is named by the major brand, or, after a general one, by another.
AVIF = Format(
    "AVIF",
    "image/avif",
    "AVIF",
    re.compile(rb".{4}ftyp(?:avi[fs]|m(?:if|sf)1.{4}(?:.{4}){0,16}avi[fs])", re.DOTALL),
)
HEIC = Format(
    "HEIC",
    "image/heic",
    "HEIF",
    re.compile(rb".{4}ftyp(?:he[iv][cxms]|m(?:if|sf)1.{4}(?:.{4}){0,16}he[iv][cxms])", re.DOTALL),
)
JPEG_2000 = Format(
    "JPEG 2000", "image/jp2", "JPEG2000", re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")
)
#: What the parameter `formats` of a transform may add: each needs a package of its own.
OPTIONAL = {"heic": HEIC}
#: What the parameter `format` of a transform may choose.
CHOICES = {"jpeg": JPEG, "png": PNG, "webp": WEBP}


def recognize(
    data: memoryview, supported: Iterable[Format], further: Collection[str] = ()
) -> Format:
    """Return the format of a file.

    Args:
        data: The file.
        supported: The formats that may be returned.
        further: Those of `OPTIONAL` that may be.

    Returns:
        One of them.

    Raises:
        InvalidInput: It is a camera raw file or of none of these formats; a known one is named.
    """
    camera_raw.check(data)
    missing = [known for name, known in OPTIONAL.items() if name not in further]
    usable = [known for known in supported if known not in missing]
    for known in usable:
        if known.magic.match(data):
            return known
    if HEIC.magic.match(data):
        raise InvalidInput(
            "HEIC is not enabled: add formats: [heic] to the pipeline's parameters, then run "
            "'./pipeline up' and './pipeline jobs retry --reason HEIC'"
        )
    unsupported_formats.check(data)
    names = ", ".join(sorted(known.name for known in usable))
    raise InvalidInput(f"not a picture in a supported format ({names})")
