"""Negate a TIFF (TIFF 6.0; BigTIFF) by Pillow, if nothing of it would be lost.

Pillow shows one page at a time and hides the rest of its directory, so the directories are read
here. What Pillow is known to damage is refused before, by tags on any page; afterwards the result's
directories are compared with the source's, and every other difference is refused as well.
"""

import re
from collections.abc import Callable
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import pillow, previews
from worker.transforms.pictures import camera_raw, libtiff_messages, pixel_limit, tiff_directories
from worker.transforms.pictures.mapped_file import MappedFile
from worker.transforms.pictures.tiff_directories import (
    ASCII,
    BYTE,
    EXIF,
    GPS,
    UNDEFINED,
    Directory,
    Field,
    Tiff,
)
from worker.transforms.pictures.tiff_pages import (
    BITS,
    BLACK_IS_0,
    CHANNELS,
    CMYK,
    COLOR_MAP,
    COMPRESSION,
    DESCRIPTION,
    EXTRA_SAMPLES,
    HEIGHT,
    INK_SET,
    LOSSLESS,
    LOSSY,
    MASK,
    MAX_VALUE,
    MIN_VALUE,
    NEW_SUBFILE_TYPE,
    NO_COMPRESSION,
    OLD_SUBFILE_TYPE,
    ORIENTATION,
    PALETTE,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    RGB,
    SAMPLE_FORMAT,
    SEPARATE_PLANES,
    SUB_IFDS,
    UNSIGNED,
    WHITE_IS_0,
    WIDTH,
    described,
    segments_problem,
)

_DATA_TYPE, _IPTC, _INTEROPERABILITY, _GDAL_NODATA = 32996, 33723, 40965, 42113
_PHOTOSHOP_LAYERS = 37724  # ImageSourceData

# Libtiff ignores a predictor elsewhere, other readers do not (TIFF 6.0, section 14, has LZW only).
_WITH_PREDICTOR = (5, 8, 32946, 34925, 50000)
# Channels without alpha, by the supported photometric interpretations.
_COLOR_CHANNELS = {WHITE_IS_0: 1, BLACK_IS_0: 1, RGB: 3, PALETTE: 1, CMYK: 4}

_UNSPECIFIED, _ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 0, 1, 2
_FIRST_TURNED = 5  # the orientations from here on exchange width and height
_REDUCED, _PAGE = 1, 2  # bits of NewSubfileType
_OLD_REDUCED = 2

# What describes how pixels are stored: Pillow writes it anew.
_LAYOUT = {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 288, 289, 292, 293}
_LAYOUT |= {317, 320, 322, 323, 324, 325, 326, 327, 328, 338, 339}
# Min- and MaxSampleValue, PageNumber, HalftoneHints, DotRange: Pillow 13.0 writes them as random
# numbers in a compressed TIFF.
_GARBLED = {MIN_VALUE, MAX_VALUE, 297, 321, 336}
_GARBLED |= {ORIENTATION}  # an undefined one, which libtiff refuses, is written as 1
_DROPPED = {_PHOTOSHOP_LAYERS}  # on purpose, see docs/pictures.md
_NAMES = {WIDTH: "width", HEIGHT: "height", CHANNELS: "number of channels", BITS: "bit depth"}
_NAMES |= {SAMPLE_FORMAT: "sample format", NEW_SUBFILE_TYPE: "page type", EXIF: "EXIF"}
_NAMES |= {GPS: "GPS", EXTRA_SAMPLES: "alpha channel"}


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a TIFF.

    Args:
        file: The TIFF.
        target: Where the negative goes.
        pixels: The most pixels that all its pages may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: The TIFF is damaged, not supported or too large, or something would be lost.
    """
    before = tiff_directories.read(file.data)
    _check(before, pixels)
    # Pillow 13.0 maps pixels with the width that they have once they are turned.
    is_turned = any(page.number(ORIENTATION, 1) >= _FIRST_TURNED for page in before.pages)
    try:
        with libtiff_messages.captured() as messages:
            pillow.negate(file.path, target, pixels, "TIFF", mapped=not is_turned)
    except InvalidInput as error:
        # Pillow's own message is seldom more than a number.
        pages = "; ".join(dict.fromkeys(described(page) for page in before.pages))
        problem = f"the {before.form} is damaged or not supported: it has {pages}"
        raise InvalidInput(problem) from error
    if re.search(rb"^Fax\w*:", messages, re.MULTILINE):
        raise InvalidInput("the TIFF's CCITT data is damaged")
    _repair(before, target)
    _compare(before, tiff_directories.read(MappedFile(target).data))
    return []


def _check(tiff: Tiff, pixels: int) -> None:
    """Raise InvalidInput for what Pillow would damage or lose, and for too many pixels."""
    camera_raw.check_directories(tiff.pages)
    areas = (page.number(WIDTH, 0) * page.number(HEIGHT, 0) for page in tiff.pages)
    pixel_limit.check(sum(areas), pixels)
    # What concerns the whole file comes before what concerns one page's pixels.
    checks: tuple[Callable[[Directory], str | None], ...] = (
        *(_structure_problem, _samples_problem, _metadata_problem),
        lambda page: segments_problem(page, tiff.size),
    )
    for problem_of in checks:
        for number, page in enumerate(tiff.pages, 1):
            if problem := problem_of(page):
                where = f" (page {number})" if len(tiff.pages) > 1 else ""
                raise InvalidInput(f"{problem}{where}")
    for directories in tiff.metadata:
        for tag, directory in directories.items():
            if directory is None:
                raise InvalidInput(f"the TIFF's {_name(tag)} directory is damaged")
    _check_imagej(tiff)


def _check_imagej(tiff: Tiff) -> None:
    """ImageJ writes large stacks as one directory and `images=N`; Pillow reads the first image."""
    described = tiff.pages[0].fields.get(DESCRIPTION)
    if described and bytes(described.data[:7]) == b"ImageJ=":
        for line in bytes(described.data).split(b"\n"):
            count = line.removeprefix(b"images=")
            if count != line and count.isdigit() and int(count) > len(tiff.pages):
                raise InvalidInput("the TIFF is an ImageJ stack with fewer directories than images")


def _structure_problem(page: Directory) -> str | None:
    """Return what a page has that Pillow does not write."""
    kind, old_kind = page.number(NEW_SUBFILE_TYPE, 0), page.number(OLD_SUBFILE_TYPE, 0)
    if SUB_IFDS in page.fields:
        return "the TIFF has SubIFDs (tag 330), whose pictures would be lost"
    if kind & _REDUCED or old_kind == _OLD_REDUCED:
        return "the TIFF has reduced-resolution pages, whose role would be lost"
    if kind & ~(_REDUCED | _PAGE) or page.number(PHOTOMETRIC, -1) == MASK:
        return f"the TIFF has a mask or another special page (NewSubfileType {kind})"
    if _GDAL_NODATA in page.fields:
        return "the TIFF marks missing data by a value (GDAL_NODATA), which would not be adapted"
    if _DATA_TYPE in page.fields:
        return "the TIFF has the obsolete tag DataType (32996), which would make it unreadable"
    return None


def _samples_problem(page: Directory) -> str | None:
    """Return why Pillow would round, reinterpret or not read a page's samples."""
    channels, bits = page.number(CHANNELS, 1), page.numbers(BITS, 1)
    photometric, compression = page.number(PHOTOMETRIC, -1), page.number(COMPRESSION, 1)
    # Some writers give one value for all channels.
    depth = bits[0] if len(set(bits)) == 1 and len(bits) in (1, channels) else 0
    is_deep = depth > 8  # noqa: PLR2004
    problem = None
    if set(page.numbers(SAMPLE_FORMAT, UNSIGNED)) != {UNSIGNED}:
        problem = "only unsigned integer samples are supported"
    elif compression in LOSSY:
        problem = "its lossy compression would lose quality again"
    elif compression not in LOSSLESS:
        problem = "its compression is not supported"
    elif page.number(PREDICTOR, 1) > (2 if compression in _WITH_PREDICTOR else 1):
        problem = "its predictor is not supported"
    elif photometric not in _COLOR_CHANNELS:
        problem = "its colors are not supported"
    elif is_deep and channels > 1:
        problem = "more than 8 bits of several channels would be reduced to 8"
    elif is_deep and photometric == WHITE_IS_0:
        problem = "MinIsWhite is not supported above 8 bits"
    elif is_deep and page.number(PLANAR, 1) == SEPARATE_PLANES:
        problem = "separate planes are not supported above 8 bits"
    elif depth not in ((1, 8, 16) if channels == 1 and photometric < RGB else (8,)):
        problem = "its bit depth would not be kept"
    elif channels != _COLOR_CHANNELS[photometric] or EXTRA_SAMPLES in page.fields:
        problem = _extra_channels_problem(page)
    elif photometric == CMYK and page.number(INK_SET, 1) != 1:
        problem = "its inks are not CMYK"
    elif photometric == PALETTE:
        problem = _color_map_problem(page)
    return f"{problem}: the TIFF has {described(page)}" if problem else None


def _extra_channels_problem(page: Directory) -> str | None:
    photometric, kinds = page.number(PHOTOMETRIC, -1), page.numbers(EXTRA_SAMPLES)
    extra = page.number(CHANNELS, 1) - _COLOR_CHANNELS[photometric]
    if len(kinds) != extra or extra != 1 or kinds[0] > _UNASSOCIATED_ALPHA:
        return "extra channels that are not described as alpha are not supported"
    if kinds[0] == _UNSPECIFIED:
        return "an extra channel of unspecified meaning would be lost"
    if kinds[0] == _ASSOCIATED_ALPHA:
        return "associated (premultiplied) alpha is not supported"
    if photometric not in (BLACK_IS_0, RGB):
        return "alpha is supported for gray and RGB only"
    if photometric == BLACK_IS_0 and page.number(PLANAR, 1) == SEPARATE_PLANES:
        return "separate planes of gray and alpha are not supported"
    return None


def _color_map_problem(page: Directory) -> str | None:
    values = page.numbers(COLOR_MAP)
    if len(values) != 3 * 256:
        return "its color map has the wrong length"
    # Writers with 8 bits scale them by 256 or by 257.
    if any(value & 0xFF not in (0, value >> 8) for value in values):
        return "its color map uses 16 bits, of which 8 would be kept"
    return None


def _metadata_problem(page: Directory) -> str | None:
    if page.number(COMPRESSION, 1) != NO_COMPRESSION:
        for tag in (EXIF, GPS):
            if tag in page.fields:
                return f"the {_name(tag)} data of a compressed TIFF would be lost"
    if _IPTC in page.fields and page.fields[_IPTC].kind not in (BYTE, UNDEFINED):
        return "the TIFF's IPTC data, of a type other than BYTE or UNDEFINED, would be cut"
    largest = (1 << page.number(BITS, 1)) - 1
    if page.number(MIN_VALUE, 0) + page.number(MAX_VALUE, largest) != largest:
        return "the TIFF's smallest and largest sample values (tags 280, 281) would not be adapted"
    for tag, field in page.fields.items():
        if field.kind == ASCII and not bytes(field.data).isascii():
            return f"the TIFF's text in tag {tag} is not ASCII and would be changed"
    return None


def _repair(before: Tiff, target: Path) -> None:
    """Write the values that Pillow does not hand to libtiff correctly."""
    if not any(tag in page.fields for page in before.pages for tag in _GARBLED):
        return
    after = tiff_directories.read(MappedFile(target).data)
    with target.open("r+b") as out:
        for old, new in zip(before.pages, after.pages, strict=False):
            for tag in _GARBLED & old.fields.keys() & new.fields.keys():
                field, garbled = old.fields[tag], new.fields[tag]
                if field.kind == garbled.kind and len(field) == len(garbled):
                    out.seek(garbled.offset)
                    out.write(field.encoded(garbled.order))


def _compare(before: Tiff, after: Tiff) -> None:
    """Raise InvalidInput if a result lacks anything of its source."""
    if len(before.pages) != len(after.pages):
        raise InvalidInput(f"of its {len(before.pages)} pages {len(after.pages)} would be kept")
    metadata = zip(before.metadata, after.metadata, strict=True)
    for old, new, (old_inner, new_inner) in zip(before.pages, after.pages, metadata, strict=True):
        _compare_pixels(old, new)
        _compare_fields(old, new, _LAYOUT | _DROPPED | {EXIF, GPS})
        for tag, directory in old_inner.items():
            kept = new_inner.get(tag)
            if directory is None or kept is None:
                raise InvalidInput(f"its {_name(tag)} directory would be lost")
            _compare_fields(directory, kept, {_INTEROPERABILITY})


def _compare_pixels(old: Directory, new: Directory) -> None:
    defaults = {WIDTH: 0, HEIGHT: 0, CHANNELS: 1, BITS: 1, SAMPLE_FORMAT: UNSIGNED}
    defaults |= {NEW_SUBFILE_TYPE: 0, EXTRA_SAMPLES: -1}
    for tag, default in defaults.items():
        # Some writers give one value for all channels.
        if set(old.numbers(tag, default)) != set(new.numbers(tag, default)):
            raise InvalidInput(f"its {_name(tag)} would change")


def _compare_fields(old: Directory, new: Directory, apart: set[int]) -> None:
    for tag, field in old.fields.items():
        if tag not in apart and not _is_same(tag, field, new.fields.get(tag)):
            raise InvalidInput(
                f"its {_name(tag)} would be {'changed' if tag in new.fields else 'lost'}"
            )


def _is_same(tag: int, old: Field, new: Field | None) -> bool:
    if new is None:
        return not old.data
    if ASCII in (old.kind, new.kind):
        return bytes(old.data).rstrip(b"\0") == bytes(new.data).rstrip(b"\0")
    if old.kind in (BYTE, UNDEFINED) and new.kind in (BYTE, UNDEFINED):
        return (
            new.data == old.data
            or bytes(new.data) == previews.negate_tag(tag, bytes(old.data)).data
        )
    left, right = old.values(), new.values()
    return len(left) == len(right) and all(map(_is_close, left, right))


def _is_close(left: float | None, right: float | None) -> bool:
    """Return whether numbers are equal in single precision, in which libtiff holds rationals."""
    if left is None or right is None:
        return left is right
    return left == right or abs(left - right) <= 1e-6 * max(abs(left), abs(right))


def _name(tag: int) -> str:
    return _NAMES.get(tag, f"TIFF tag {tag}")
