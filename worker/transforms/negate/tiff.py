"""Check TIFF files (TIFF 6.0, BigTIFF) for what Pillow would lose, before and after it works.

Pillow shows one page and hides the rest of its directory, so the directories are read here. All
pages are checked. `check` refuses, by tags, what Pillow is known to damage; `verify` compares the
result's directories with the source's and refuses every other difference.
"""

import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

from worker.errors import InvalidInput
from worker.transforms.negate import previews

# Bytes of a value, by field type; and the type codes of `array` for the integers.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_CODES |= {5: "I", 10: "i", 16: "Q", 17: "q", 18: "Q"}
_BYTE, _ASCII, _RATIONAL, _UNDEFINED, _SRATIONAL = 1, 2, 5, 7, 10
_MOST_ENTRIES = 200_000  # in all directories: those of a crafted file may overlap
_NEW_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _WIDTH, _LENGTH, _BITS, _COMPRESSION = range(254, 260)
_PHOTOMETRIC, _DESCRIPTION, _STRIP_OFFSETS, _SAMPLES, _ROWS, _STRIP_SIZES = (
    *(262, 270, 273, 277),
    *(278, 279),
)
_PLANAR, _COLOUR_MAP, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_SIZES = (
    *(284, 320, 322),
    *(323, 324, 325),
)
_SUB_IFDS, _INK_SET, _EXTRA, _FORMAT, _DATA_TYPE, _IPTC = 330, 332, 338, 339, 32996, 33723
_EXIF, _GPS, _INTEROPERABILITY, _NODATA = 34665, 34853, 40965, 42113
_LAYERS = 37724  # Photoshop's ImageSourceData: dropped on purpose
_CAMERA_TAGS = {50706: "DNGVersion", 33421: "CFARepeatPatternDim", 33422: "CFAPattern"}
_CAMERA_TAGS |= {34310: "LeafSubIFD"}
_CAMERA_PHOTOMETRIC = {32803: "CFA", 34892: "LinearRaw"}
_CAMERA_COMPRESSION = {32767: "Sony", 32769: "Epson", 32770: "Samsung", 34713: "Nikon"}
_CAMERA_COMPRESSION |= {65000: "Kodak", 65535: "Pentax"}
_LOSSLESS = {1: "no", 2: "CCITT RLE", 3: "CCITT Group 3", 4: "CCITT Group 4", 5: "LZW"}
_LOSSLESS |= {8: "Deflate", 32946: "Deflate", 32773: "PackBits", 34925: "LZMA", 50000: "Zstandard"}
_COMPRESSIONS = _LOSSLESS | {6: "old-style JPEG", 7: "JPEG", 32809: "ThunderScan", 34676: "SGILog"}
_COMPRESSIONS |= {34677: "SGILog24", 34712: "JPEG 2000", 34887: "LERC", 50001: "WebP"}
_COMPRESSIONS |= {50002: "JPEG XL", 32771: "CCITT RLE/W", 32766: "NeXT", 34661: "JBIG"}
_COMPRESSIONS |= _CAMERA_COMPRESSION
_FORMATS = {1: "unsigned", 2: "signed", 3: "floating-point", 4: "untyped"}
_FORMATS |= {5: "complex", 6: "complex"}
_PHOTOMETRICS = {0: "MinIsWhite", 1: "gray", 2: "RGB", 3: "palette", 4: "transparency mask"}
_PHOTOMETRICS |= {5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab"}
_PHOTOMETRICS |= {32844: "LogL", 32845: "LogLuv"} | _CAMERA_PHOTOMETRIC
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4}  # channels without alpha, by photometric interpretation
_UNASSOCIATED_ALPHA = 2
# What describes the samples' layout: written anew, from the pixels.
_LAYOUT = {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 288, 289, 292, 293}
_LAYOUT |= {317, 320, 322, 323, 324, 325, 326, 327, 328, 338, 339}
_LAYOUT |= {_LAYERS}

_Order = Literal["little", "big"]


@dataclass(frozen=True)
class Field:
    """One entry of a directory."""

    kind: int
    order: _Order
    data: memoryview

    def numbers(self) -> "array[int] | array[float]":
        """The values; of a rational, numerators and denominators in turn."""
        values: array[int] = array(_CODES[self.kind])
        values.frombytes(self.data)
        if self.order != sys.byteorder:
            values.byteswap()
        return values


@dataclass(frozen=True)
class Directory:
    """A directory's fields by tag."""

    fields: dict[int, Field]
    file_size: int

    def number(self, tag: int, default: int) -> int:
        """The first value of an integer field."""
        return self.numbers(tag, default)[0]

    def numbers(self, tag: int, *default: int) -> list[int]:
        """All values of an integer field."""
        field = self.fields.get(tag)
        if field is None:
            return list(default)
        if field.kind == _ASCII or not field.data:
            raise InvalidInput(f"the TIFF's tag {tag} has no number")
        return [int(value) for value in field.numbers()]

    @cached_property
    def description(self) -> str:
        """The pixels' kind, in words."""
        compression, bits = self.number(_COMPRESSION, 1), self.numbers(_BITS, 1)
        depth = "/".join(map(str, sorted(set(bits))))
        number = self.number(_FORMAT, 1)
        photometric = self.number(_PHOTOMETRIC, -1)
        return (
            f"{_COMPRESSIONS.get(compression, f'unknown ({compression})')} compression, "
            f"{depth} bits per sample, {self.number(_SAMPLES, 1)} channels, "
            f"{_FORMATS.get(number, f'format {number}')} samples, "
            f"{_PHOTOMETRICS.get(photometric, f'photometric interpretation {photometric}')}"
        )


MAGIC = (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0")


class _Reader:
    """Reads directories from a file's bytes, which are never trusted."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.order: _Order = "little" if bytes(data[:2]) == b"II" else "big"
        self._big = self._number(2, 2) == 43  # noqa: PLR2004  BigTIFF's version
        self._entries = 0
        byte_order = "big-endian " if self.order == "big" else ""
        self.form = f"{byte_order}{'BigTIFF' if self._big else 'TIFF'}"

    def pages(self) -> Iterator[Directory]:
        at, seen = (self._number(8, 8) if self._big else self._number(4, 4)), set[int]()
        while at:
            if at in seen:
                raise InvalidInput("the TIFF's chain of directories is a loop")
            seen.add(at)
            directory, at = self.directory(at)
            yield directory

    def directory(self, at: int) -> tuple[Directory, int]:
        """The directory at an offset, and the offset of the next."""
        width, step = (8, 20) if self._big else (2, 12)
        count = self._number(at, width)
        self._entries += count
        if self._entries > _MOST_ENTRIES:
            raise InvalidInput(f"the TIFF has more than {_MOST_ENTRIES} directory entries")
        fields: dict[int, Field] = {}
        at += width
        for entry in range(at, at + count * step, step):
            fields.setdefault(self._number(entry, 2), self._field(entry))
        return Directory(fields, len(self._data)), self._number(
            at + count * step, 8 if self._big else 4
        )

    def _field(self, at: int) -> Field:
        tag, kind = self._number(at, 2), self._number(at + 2, 2)
        room = 8 if self._big else 4
        if kind not in _SIZES:
            raise InvalidInput(f"the TIFF's tag {tag} is of the unknown type {kind}")
        length = self._number(at + 4, room) * _SIZES[kind]
        start = at + 4 + room
        if length > room:
            start = self._number(start, room)
        if start + length > len(self._data):
            raise InvalidInput(f"the TIFF's tag {tag} lies beyond the end of the file")
        return Field(kind, self.order, self._data[start : start + length])

    def _number(self, at: int, size: int) -> int:
        if at + size > len(self._data):
            raise InvalidInput(
                "the TIFF ends too early: a directory lies beyond the end of the file"
            )
        return int.from_bytes(self._data[at : at + size], self.order)


@dataclass(frozen=True)
class Tiff:
    """A file's pages, each with its EXIF and GPS directories by tag; None: damaged."""

    form: str  # in words
    pages: list[Directory]
    metadata: list[dict[int, Directory | None]]


def read(data: memoryview) -> Tiff:
    """All directories of a TIFF; InvalidInput where they are damaged."""
    if not bytes(data[:8]).startswith(MAGIC):
        raise InvalidInput("the TIFF's header is damaged")
    reader = _Reader(data)
    pages = list(reader.pages())
    if not pages:
        raise InvalidInput("the TIFF has no picture")
    metadata = []
    for page in pages:
        found: dict[int, Directory | None] = {}
        for tag in (_EXIF, _GPS):
            if tag in page.fields:
                found[tag] = None
                with suppress(InvalidInput):
                    found[tag], _ = reader.directory(page.number(tag, 0))
        metadata.append(found)
    return Tiff(reader.form, pages, metadata)


def check(tiff: Tiff, pixels: int) -> None:
    """Raise InvalidInput for what Pillow would damage or lose, and for more than so many pixels."""
    total = sum(page.number(_WIDTH, 0) * page.number(_LENGTH, 0) for page in tiff.pages)
    if total > pixels:
        raise InvalidInput(f"it has more than {pixels} pixels")
    # What the file is comes before what one of its pages is.
    for problem_of in (_camera_raw, _structure, _samples, _metadata, _segments):
        for number, page in enumerate(tiff.pages, 1):
            if problem := problem_of(page):
                where = f" (page {number})" if len(tiff.pages) > 1 else ""
                raise InvalidInput(f"{problem}{where}")
    for found in tiff.metadata:
        for tag, directory in found.items():
            if directory is None:
                raise InvalidInput(f"the TIFF's {_name(tag)} directory is damaged")
    described = tiff.pages[0].fields.get(_DESCRIPTION)
    if described and bytes(described.data[:7]) == b"ImageJ=":
        for line in bytes(described.data).split(b"\n"):
            count = line.removeprefix(b"images=")
            if count != line and count.isdigit() and int(count) > len(tiff.pages):
                raise InvalidInput("the TIFF is an ImageJ stack with fewer directories than images")


def _camera_raw(page: Directory) -> str | None:
    for tag, name in _CAMERA_TAGS.items():
        if tag in page.fields:
            return _raw(f"tag {name}")
    photometric, compression = page.number(_PHOTOMETRIC, -1), page.number(_COMPRESSION, 1)
    if photometric in _CAMERA_PHOTOMETRIC:
        return _raw(f"photometric interpretation {_CAMERA_PHOTOMETRIC[photometric]}")
    if compression in _CAMERA_COMPRESSION:
        return _raw(f"{_CAMERA_COMPRESSION[compression]} compression")
    return None


def _raw(evidence: str) -> str:
    return f"it is a camera raw file ({evidence}), which is not supported"


def _structure(page: Directory) -> str | None:
    """What only a writer of directories could keep."""
    if _SUB_IFDS in page.fields:
        return "the TIFF has SubIFDs (tag 330), whose pictures would be lost"
    kind = page.number(_NEW_SUBFILE_TYPE, 0)
    if kind & 1 or page.number(_OLD_SUBFILE_TYPE, 1) == 2:  # noqa: PLR2004
        return "the TIFF has reduced-resolution pages, whose role would be lost"
    if kind & ~3 or page.number(_PHOTOMETRIC, -1) == 4:  # noqa: PLR2004
        return f"the TIFF has a mask or another special page (NewSubfileType {kind})"
    if _NODATA in page.fields:
        return "the TIFF marks missing data (GDAL_NODATA) by a value, which would no longer fit"
    if _DATA_TYPE in page.fields:
        return "the TIFF has the obsolete tag DataType (32996), which would make it unreadable"
    return None


def _samples(page: Directory) -> str | None:
    """Kinds of pixels that Pillow rounds, reinterprets or cannot read."""
    channels, bits = page.number(_SAMPLES, 1), page.numbers(_BITS, 1)
    photometric, compression = page.number(_PHOTOMETRIC, -1), page.number(_COMPRESSION, 1)
    # Some writers give one value for all channels.
    depth = bits[0] if len(set(bits)) == 1 and len(bits) in (1, channels) else 0
    problem = None
    if set(page.numbers(_FORMAT, 1)) != {1}:
        problem = "samples other than unsigned integers are not supported"
    elif compression not in _LOSSLESS:
        problem = (
            "it would be compressed again with loss"
            if compression in (6, 7, 50001)
            else "its compression is not supported"
        )
    elif photometric not in _COLOURS:
        problem = "its kind of colours is not supported"
    elif depth > 8 and channels > 1:  # noqa: PLR2004
        problem = "several channels of more than 8 bits would be reduced to 8"
    elif depth > 8 and photometric == 0:  # noqa: PLR2004
        problem = "white as 0 (MinIsWhite) is not supported above 8 bits"
    elif depth > 8 and page.number(_PLANAR, 1) != 1:  # noqa: PLR2004
        problem = "separate planes are not supported above 8 bits"
    elif depth not in ((1, 8, 16) if channels == 1 and photometric in (0, 1) else (8,)):
        problem = "its number of bits would not be kept"
    elif (extra := channels - _COLOURS[photometric]) or _EXTRA in page.fields:
        problem = _extra_channels(page, extra)
    elif photometric == 5 and page.number(_INK_SET, 1) != 1:  # noqa: PLR2004
        problem = "its inks are not CMYK"
    elif photometric == 3 and (problem := _colour_map(page)):  # noqa: PLR2004
        pass
    return f"{problem}: the TIFF has {page.description}" if problem else None


def _extra_channels(page: Directory, extra: int) -> str | None:
    kinds = page.numbers(_EXTRA)
    if len(kinds) != extra or extra != 1 or kinds[0] > _UNASSOCIATED_ALPHA:
        return "extra channels that are not described as alpha are not supported"
    if kinds[0] == 0:
        return "an extra channel of unspecified meaning would be lost"
    if kinds[0] != _UNASSOCIATED_ALPHA:
        return "associated (premultiplied) alpha is not supported"
    if page.number(_PHOTOMETRIC, -1) not in (1, 2):
        return "alpha is supported for gray and RGB only"
    if page.number(_PHOTOMETRIC, -1) == 1 and page.number(_PLANAR, 1) != 1:
        return "separate planes of gray and alpha are not supported"
    return None


def _colour_map(page: Directory) -> str | None:
    values = page.numbers(_COLOUR_MAP)
    if len(values) != 3 << 8:
        return "its colour map has the wrong length"
    if any(value & 0xFF not in (0, value >> 8) for value in values):
        return "its colour map uses 16 bits, of which 8 would be kept"
    return None


def _metadata(page: Directory) -> str | None:
    if page.number(_COMPRESSION, 1) != 1:
        for tag in (_EXIF, _GPS):
            if tag in page.fields:
                return f"the {_name(tag)} data of a compressed TIFF would be lost"
    if _IPTC in page.fields and page.fields[_IPTC].kind not in (_BYTE, _UNDEFINED):
        return "the TIFF's IPTC data are of a type other than BYTE or UNDEFINED and would be cut"
    for tag, field in page.fields.items():
        if field.kind == _ASCII and not bytes(field.data).isascii():
            return f"the TIFF's text in tag {tag} is not ASCII and would be changed"
    return None


def _segments(page: Directory) -> str | None:
    """Strips or tiles that are too many, too few, empty, or outside the file."""
    width, length = page.number(_WIDTH, 0), page.number(_LENGTH, 0)
    tiled = _TILE_OFFSETS in page.fields
    if tiled == (_STRIP_OFFSETS in page.fields):
        return "the TIFF must have either strips or tiles"
    if tiled:
        across, down = page.number(_TILE_WIDTH, 0), page.number(_TILE_LENGTH, 0)
    else:
        across, down = width, min(page.number(_ROWS, length), length)
    if not (width and length and across and down):
        return "the TIFF has a page, strip or tile without width or height"
    planar = page.number(_PLANAR, 1) == 2  # noqa: PLR2004
    channels = page.number(_SAMPLES, 1)
    each = -(-length // down)  # rows of tiles, or strips of a plane
    needed = -(-width // across) * each * (channels if planar else 1)
    name = "tile" if tiled else "strip"
    tags = (_TILE_OFFSETS, _TILE_SIZES) if tiled else (_STRIP_OFFSETS, _STRIP_SIZES)
    for tag in tags:
        field = page.fields.get(tag)
        count = len(field.data) // _SIZES[field.kind] if field else needed
        if count != needed:
            return f"the TIFF lists {count} {name}s where its size needs {needed}"
    sizes = page.numbers(tags[1]) if tags[1] in page.fields else [1] * needed
    row = -(-across * page.number(_BITS, 1) * (1 if planar else channels) // 8)
    if page.number(_COMPRESSION, 1) != 1 or tags[1] not in page.fields:
        row = 0
    for index, (offset, size) in enumerate(zip(page.numbers(tags[0]), sizes, strict=True)):
        rows = down if tiled else min(down, length - index % each * down)
        if not offset or size < max(1, rows * row):
            return f"the TIFF has a {name} with too few bytes"
        if offset + size > page.file_size:
            return f"the TIFF ends too early: a {name} lies beyond the end of the file"
    return None


def verify(before: Tiff, after: Tiff) -> None:
    """Refuse, with an InvalidInput, a result that lacks anything of its source."""
    if len(before.pages) != len(after.pages):
        raise InvalidInput(f"of its {len(before.pages)} pages {len(after.pages)} would be kept")
    for page, (old, new) in enumerate(zip(before.pages, after.pages, strict=True)):
        for tag, default in ((_WIDTH, 0), (_LENGTH, 0), (_SAMPLES, 1), (_BITS, 1), (_FORMAT, 1)):
            if set(old.numbers(tag, default)) != set(new.numbers(tag, default)):
                raise InvalidInput(f"its {_name(tag)} would change")
        if old.number(_NEW_SUBFILE_TYPE, 0) != new.number(_NEW_SUBFILE_TYPE, 0):
            raise InvalidInput(f"its {_name(_NEW_SUBFILE_TYPE)} would change")
        if old.numbers(_EXTRA, -1) != new.numbers(_EXTRA, -1):
            raise InvalidInput("its alpha channel would change")
        _verify_fields(old, new, _LAYOUT | {_EXIF, _GPS})
        for tag, directory in before.metadata[page].items():
            kept = after.metadata[page].get(tag)
            if directory is None or kept is None:
                raise InvalidInput(f"its {_name(tag)} directory would be lost")
            _verify_fields(directory, kept, {_INTEROPERABILITY})


def _verify_fields(old: Directory, new: Directory, apart: set[int]) -> None:
    for tag, field in old.fields.items():
        if tag not in apart and not _same(tag, field, new.fields.get(tag)):
            kept = "be changed" if tag in new.fields else "be lost"
            raise InvalidInput(f"its {_name(tag)} would {kept}")


def _same(tag: int, old: Field, new: Field | None) -> bool:
    if new is None:
        return not old.data
    if _ASCII in (old.kind, new.kind):
        return bytes(old.data).rstrip(b"\0") == bytes(new.data).rstrip(b"\0")
    if old.kind in (_BYTE, _UNDEFINED) and new.kind in (_BYTE, _UNDEFINED):
        return new.data == old.data or bytes(new.data) == previews.tag(tag, bytes(old.data))
    left, right = _values(old), _values(new)
    return len(left) == len(right) and all(map(_close, left, right))


def _values(field: Field) -> list[float | None]:
    """Numbers; None for a rational without a value."""
    numbers = field.numbers()
    if field.kind not in (_RATIONAL, _SRATIONAL):
        return list(numbers)
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return [float(Fraction(int(a), int(b))) if b else None for a, b in pairs]


def _close(left: float | None, right: float | None) -> bool:
    """Libtiff holds rationals in single precision."""
    if left is None or right is None:
        return left is right
    return left == right or abs(left - right) <= 1e-6 * max(abs(left), abs(right))


_NAMES = {_WIDTH: "width", _LENGTH: "height", _SAMPLES: "number of channels", _BITS: "bit depth"}
_NAMES |= {_FORMAT: "sample format", _NEW_SUBFILE_TYPE: "page type", _EXIF: "EXIF", _GPS: "GPS"}


def _name(tag: int) -> str:
    return _NAMES.get(tag, f"TIFF tag {tag}")
