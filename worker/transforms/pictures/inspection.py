"""Find what a picture made with Pillow will not have, and refuse what Pillow would misread."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from worker.errors import InvalidInput
from worker.transforms.pictures import (
    bmp_header,
    camera_raw,
    formats,
    heif,
    hevc_data,
    pixel_limit,
    pnm_header,
    tiff_directories,
    tiff_pages,
    tiff_segments,
)
from worker.transforms.pictures.formats import Format
from worker.transforms.pictures.pnm_header import Header
from worker.transforms.pictures.tiff_directories import Directory
from worker.transforms.pictures.tiff_pages import (
    BITS,
    BLACK_IS_0,
    CHANNELS,
    CMYK,
    COMPRESSION,
    EXTRA_SAMPLES,
    HEIGHT,
    INK_SET,
    LOSSLESS,
    LOSSY,
    PALETTE,
    PHOTOMETRIC,
    PLANAR,
    RGB,
    SAMPLE_FORMAT,
    SEPARATE_PLANES,
    UNSIGNED,
    WHITE_IS_0,
    WIDTH,
    YCBCR,
)

_ORIENTATION, _GPS = 274, 34853
_BYTE_BITS = 8
_ONE_BYTE = 255  # the largest maxval of a PNM's samples of one byte
# PNG (third edition): chunks that say what the pixels' values mean, and those that go unnamed.
_PNG_COLORS = (b"cHRM", b"cICP", b"gAMA", b"sRGB")
_PNG_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"pHYs")
_PNG_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_PNG_GRAY, _PNG_FEW_BITS = 0, (2, 4)
_GIF_PROFILE = re.compile(rb"\x21\xff\x0bICCRGBG1")
# Application segments of a JPEG by their first bytes; None: they hold no metadata, or it is kept.
_SEGMENTS = (
    (b"JFIF\0", None),
    (b"JFXX\0", None),
    (b"Adobe", None),
    (b"ICC_PROFILE\0", None),
    (b"MPF\0", None),
    (b"Exif\0\0", None),  # named by its tags
    (b"http://ns.adobe.com/xap/1.0/\0", "XMP"),
    (b"http://ns.adobe.com/xmp/extension/\0", "XMP"),
    (b"Photoshop 3.0\0", "IPTC and Photoshop data"),
)
# Tags of a TIFF that describe its pixels, are kept (resolution, profile), or are only defaults.
_TIFF_LAYOUT = {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284}
_TIFF_LAYOUT |= {292, 293, 296, 317, 320, 322, 323, 324, 325, 326, 327, 328, 332, 338, 339, 347}
_TIFF_LAYOUT |= {512, 513, 514, 519, 520, 521, 529, 530, 531, 532, 34675}
_TIFF_NAMES = {330: "SubIFDs", 700: "XMP", 33723: "IPTC", 34377: "Photoshop data"}
_TIFF_NAMES |= {34665: "EXIF", _GPS: "GPS", 37724: "Photoshop layers"}
_TIFF_CHANNELS = {WHITE_IS_0: 1, BLACK_IS_0: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2


@dataclass(frozen=True)
class Inspection:
    """What a picture has besides the pixels that Pillow shows.

    Attributes:
        dropped: Names of its metadata that the result will not have.
        further: How many pictures follow the first one, and what they are.
        is_reduced: Whether Pillow reduces its samples to 8 bits.
        png_colors: Type and content of a PNG's chunks on the meaning of its colors.
        transparency: What stands for transparent, as Pillow needs it in `info`; None if nothing.
    """

    dropped: Sequence[str] = ()
    further: tuple[int, str] = (0, "")
    is_reduced: bool = False
    png_colors: Sequence[tuple[bytes, bytes]] = ()
    transparency: Any = None

    @property
    def notes(self) -> list[str]:
        """What will be dropped, a phrase each."""
        count, what = self.further
        found = [f"dropped {count} further {what}{'s' if count > 1 else ''}"] if count else []
        found += ["reduced to 8 bits per channel"] if self.is_reduced else []
        return found + ([f"dropped {', '.join(self.dropped)}"] if self.dropped else [])


def check(data: memoryview, known: Format, max_pixels: int) -> None:
    """Refuse what Pillow would misread.

    Args:
        data: The picture.
        known: Its format.
        max_pixels: The most pixels that it may have.

    Raises:
        InvalidInput: It is damaged, not supported or too large.
    """
    if known == formats.TIFF:
        tiff = tiff_directories.read(data)
        camera_raw.check_directories(tiff.pictures)
        first = tiff.pages[0]
        pixel_limit.check(first.number(WIDTH, 0) * first.number(HEIGHT, 0), max_pixels)
        if problem := _samples_problem(first):
            raise InvalidInput(f"{problem}: the TIFF has {tiff_pages.described(first)}")
        if not all(each.size for each in tiff_segments.read(first, tiff.size)):
            raise InvalidInput("the TIFF has a strip or tile without bytes")
    elif known == formats.PNM:
        if pnm_header.read(data).kind == pnm_header.PAM:
            raise InvalidInput("PAM files are not supported")
    elif known == formats.HEIC:
        hevc_data.check_whole(heif.read(data, allow_sequence=True))
    elif known == formats.BMP and bmp_header.read(data).is_misread:
        raise InvalidInput(bmp_header.MISREAD)


def inspect(data: memoryview, known: Format, image: Image.Image) -> Inspection:
    """Find what a result will not have.

    Args:
        data: The picture.
        known: Its format.
        image: The same, as Pillow has opened it.

    Returns:
        What was found.
    """
    if known == formats.TIFF:
        return _inspect_tiff(data)
    if known == formats.PNM:
        header = pnm_header.read(data)
        return Inspection(
            _pnm_surplus(data, header),
            is_reduced=header.channels > 1 and header.maxval > _ONE_BYTE,
        )
    further = (getattr(image, "n_frames", 1) - 1, "picture" if known == formats.JPEG else "frame")
    if known == formats.PNG:
        return _inspect_png(data, image, further)
    dropped = _exif_names(image)
    if known == formats.JPEG:
        dropped += _jpeg_segments(image)
    else:
        dropped += ["XMP"] if image.info.get("xmp") else []
    if image.info.get("aux") or image.info.get("depth_images"):
        dropped.append("auxiliary pictures")
    dropped += ["a comment"] if image.info.get("comment") else []
    has_profile = known == formats.BMP and bmp_header.read(data).profile
    if has_profile or (known == formats.GIF and _GIF_PROFILE.search(data)):
        dropped.append("the color profile")
    key = image.info.get("transparency")
    return Inspection(dropped, further, _is_deep(data, known, image.info), transparency=key)


def _pnm_surplus(data: memoryview, header: Header) -> list[str]:
    """Return a name for what follows the first picture."""
    if header.is_plain:
        rest = re.sub(rb"#[^\r\n]*", b"", bytes(data[header.start :]))
        return ["a second picture"] if b"P" in rest else []
    end = header.start + header.row_bytes * header.height
    try:
        start = pnm_header.next_picture(data, end, is_plain=False)
    except InvalidInput:
        return ["data after its picture"]
    return ["a second picture"] if start is not None else []


def exif(image: Image.Image) -> dict[int, Any]:
    """Return the EXIF fields of an opened picture by tag, those that can be read."""
    try:
        return dict(image.getexif())
    except Exception:  # noqa: BLE001  Pillow may raise anything for damaged EXIF
        return {}


def _exif_names(image: Image.Image) -> list[str]:
    """Return names for EXIF fields other than the orientation, which is applied."""
    tags = exif(image)
    if not tags and image.info.get("exif"):
        return ["damaged EXIF"]
    has_others = tags.keys() - {_ORIENTATION, _GPS}
    return (["EXIF"] if has_others else []) + (["GPS"] if _GPS in tags else [])


def _jpeg_segments(image: Image.Image) -> list[str]:
    names: dict[str, None] = {}
    for marker, content in getattr(image, "applist", ()):
        known = [name for magic, name in _SEGMENTS if content.startswith(magic)]
        name = known[0] if known else f"{marker} segments"
        if name and marker != "COM":
            names[name] = None
    return list(names)


def _inspect_png(data: memoryview, image: Image.Image, further: tuple[int, str]) -> Inspection:
    colors, others = [], dict[str, None]()
    for kind, content in _png_chunks(data):
        if kind in _PNG_COLORS:
            colors.append((kind, bytes(content)))
        elif kind not in _PNG_PIXELS + _PNG_ANIMATION:
            others[kind.decode("latin-1")] = None
    if "eXIf" in others and not _exif_names(image):
        del others["eXIf"]
    depth, color_type = data[24], data[25]
    key, dropped = image.info.get("transparency"), list[str]()
    if key is not None and depth > _BYTE_BITS:
        key, dropped = None, ["the transparent color"]
    elif key is not None and color_type == _PNG_GRAY and depth in _PNG_FEW_BITS:
        key = key * 255 // ((1 << depth) - 1)  # Pillow 13.0 scales the pixels alone
    dropped += [f"PNG chunks {', '.join(others)}"] if others else []
    # Pillow keeps 16 bits of gray alone.
    is_reduced = depth > _BYTE_BITS and color_type != _PNG_GRAY
    return Inspection(dropped, further, is_reduced, colors, key)


def _png_chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield bytes(data[at + 4 : at + 8]), data[at + 8 : at + 8 + size]
        at += size + 12


def _is_deep(data: memoryview, known: Format, info: Mapping[Any, Any]) -> bool:
    """Return whether a HEIC, an AVIF or a JPEG 2000 in color has more than 8 bits per channel."""
    beginning = bytes(data[: 1 << 16])
    if known == formats.HEIC:
        return int(info["bit_depth"]) > _BYTE_BITS
    if known == formats.AVIF:
        # AV1 Codec ISO Media File Format Binding, section 2.3.3: high_bitdepth
        return bool(re.search(rb"av1C.{2}[\x40-\x7f\xc0-\xff]", beginning, re.DOTALL))
    if known == formats.JPEG_2000:
        # ISO/IEC 15444-1, A.5.1: SOC, SIZ; Csiz and Ssiz follow 38 bytes after the marker.
        found = re.search(rb"\xff\x4f\xff\x51.{36}\0([\x01-\x04])(.)", beginning, re.DOTALL)
        return bool(found and found[1] > b"\x02" and (found[2][0] & 0x7F) + 1 > _BYTE_BITS)
    return False


def _inspect_tiff(data: memoryview) -> Inspection:
    tiff = tiff_directories.read(data)
    first, dropped = tiff.pages[0], list[str]()
    tags = sorted(tag for tag in first.fields if tag not in _TIFF_LAYOUT)
    dropped += [_TIFF_NAMES[tag] for tag in tags if tag in _TIFF_NAMES]
    if others := [str(tag) for tag in tags if tag not in _TIFF_NAMES]:
        dropped.append(f"TIFF tags {', '.join(others)}")
    if _extra_channels(first) and first.number(EXTRA_SAMPLES, 0) not in (
        _ASSOCIATED_ALPHA,
        _UNASSOCIATED_ALPHA,
    ):
        dropped.append("a channel of unspecified meaning")
    is_reduced = max(first.numbers(BITS, 1)) > _BYTE_BITS and first.number(CHANNELS, 1) > 1
    return Inspection(dropped, (len(tiff.pages) - 1, "page"), is_reduced)


def _extra_channels(page: Directory) -> int:
    return page.number(CHANNELS, 1) - _TIFF_CHANNELS[page.number(PHOTOMETRIC, -1)]


def _samples_problem(page: Directory) -> str | None:
    """Return why Pillow would misread a page's samples, or not read them."""
    bits, photometric = set(page.numbers(BITS, 1)), page.number(PHOTOMETRIC, -1)
    is_deep = max(bits) > _BYTE_BITS
    depths = {1, 2, 4, 8, 16} if page.number(CHANNELS, 1) == 1 else {8, 16}
    problem = None
    if set(page.numbers(SAMPLE_FORMAT, UNSIGNED)) != {UNSIGNED}:
        problem = "only unsigned integer samples are supported"
    elif page.number(COMPRESSION, 1) not in (*LOSSLESS, *LOSSY):
        problem = "its compression is not supported"
    elif photometric not in _TIFF_CHANNELS:
        problem = "its colors are not supported"
    elif len(bits) > 1 or not bits <= depths:
        problem = "its bit depth is not supported"
    elif is_deep and photometric == WHITE_IS_0:
        problem = "MinIsWhite is not supported above 8 bits"
    elif is_deep and page.number(PLANAR, 1) == SEPARATE_PLANES:
        problem = "separate planes are not supported above 8 bits"
    elif not 0 <= _extra_channels(page) <= 1:
        problem = "its number of channels is not supported"
    elif _extra_channels(page) and EXTRA_SAMPLES not in page.fields:
        problem = "an extra channel that is not described is not supported"
    elif photometric == CMYK and page.number(INK_SET, 1) != 1:
        problem = "its inks are not CMYK"
    return problem
