"""Which values of a TIFF's tags change with its pixels, and how directories are rewritten."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import BinaryIO

from worker.errors import InvalidInput
from worker.transforms.negate import previews
from worker.transforms.negate.tiff import blocks
from worker.transforms.negate.tiff.layout import Place
from worker.transforms.negate.tiff.samples import Channels
from worker.transforms.pictures import tiff_segments
from worker.transforms.pictures.tiff_directories import (
    ASCII,
    BYTE,
    LONG,
    LONG8,
    SUB_IFDS,
    UNDEFINED,
    Directory,
    Field,
    Tiff,
    encode,
)
from worker.transforms.pictures.tiff_pages import (
    BITS,
    BLACK_IS_0,
    CCITT,
    COLOR_MAP,
    COMPRESSION,
    JPEG_BYTES,
    JPEG_OFFSET,
    JPEG_TABLES,
    MAX_VALUE,
    MIN_VALUE,
    PALETTE,
    PHOTOMETRIC,
    SAMPLE_FORMAT,
    WHITE_IS_0,
)

_LAYERS = 37724  # ImageSourceData: Photoshop's layers, with their pixels as they were
_CREDENTIALS = 52545  # a manifest store (C2PA 2.2, annex A.3)
_SMALLEST, _LARGEST = 340, 341  # SMinSampleValue, SMaxSampleValue
_GDAL_NODATA, _ICC_PROFILE = 42113, 34675
_GDAL_METADATA = 42112  # XML
_STATISTIC = re.compile(
    rb'(?<=<Item name="STATISTICS_)(MINIMUM|MAXIMUM|MEAN)(" sample="(\d{1,6})"[^>]*>)'
    rb"([+-]?\d{1,40}(?:\.\d{0,40})?(?:[eE][+-]?\d{1,3})?)(?=</Item>)"
)
_OPPOSITE = {b"MINIMUM": b"MAXIMUM", b"MAXIMUM": b"MINIMUM", b"MEAN": b"MEAN"}
_SIGNED = 2
_BYTE, _WORD = 0xFF, 0xFFFF  # the largest numbers of 8 and 16 bits
_TOO_LARGE = "its negative would be larger than 4 GiB: convert it to BigTIFF"
_LEAST_PREVIEW = 64  # bytes; no JPEG is smaller
# Values that hold no picture, though JPEGTables begin as one does.
_WITHOUT_PICTURE = {JPEG_TABLES, _ICC_PROFILE}
_LONG_BASE64 = re.compile(rb"/9j/(?:[A-Za-z0-9+/]|\s){200}")
_NUMBER = re.compile(rb"\s*([+-]?\d{1,40})(\.\d*)?([eE][+-]?\d+)?\s*")


@dataclass(frozen=True)
class Value:
    """What a field will hold.

    Attributes:
        kind: Its type, as TIFF numbers it.
        count: How many values.
        data: The values, in the file's byte order.
    """

    kind: int
    count: int
    data: bytes


#: A directory's changed fields by tag; None: the field is dropped.
Changes = dict[int, Value | None]


def of_pixels(page: Directory, channels: Channels) -> Changes:
    """Return the fields that change since a page's samples do.

    Args:
        page: The page.
        channels: Its channels.

    Returns:
        The changes.

    Raises:
        InvalidInput: A field cannot be adapted.
    """  # noqa: DOC502  raised by what it calls
    photometric = page.number(PHOTOMETRIC, -1)
    if photometric == PALETTE:
        return {COLOR_MAP: _complemented_color_map(page)}
    if not channels.colors:
        return {}
    if page.number(COMPRESSION, 1) in CCITT:
        other = WHITE_IS_0 if photometric == BLACK_IS_0 else BLACK_IS_0
        return {PHOTOMETRIC: _encoded([other], page.fields[PHOTOMETRIC])}
    changes: Changes = {}
    changes |= _complemented_range(page, channels, MIN_VALUE, MAX_VALUE)
    changes |= _complemented_range(page, channels, _SMALLEST, _LARGEST)
    changes |= _complemented_statistics(page, channels)
    if (nodata := nodata_value(page, channels)) is not None:
        text = b"%d\0" % (sum(_ranges(page, channels)[0]) - nodata)
        changes[_GDAL_NODATA] = Value(ASCII, len(text), text)
    return changes


def nodata_value(page: Directory, channels: Channels) -> int | None:
    """Return the sample value that marks missing data; None if no sample can have it.

    Args:
        page: The page.
        channels: Its channels.

    Returns:
        The value of the tag GDAL_NODATA.

    Raises:
        InvalidInput: It is the same for channels that change and for others.
    """
    field = page.fields.get(_GDAL_NODATA)
    text = bytes(field.data).split(b"\0")[0] if field else b""
    number = _NUMBER.fullmatch(text)
    if not channels.colors or not number:
        return None
    # Integers of 64 bits are exact without a point, and doubles otherwise.
    exact: float = float(text) if number[2] or number[3] else int(number[1])
    ranges = _ranges(page, channels)
    if exact % 1 or not any(low <= exact <= high for low, high in ranges):
        return None
    value = int(exact)
    if channels.colors < len(channels.bits) or len(set(ranges)) > 1:
        raise InvalidInput(
            f"the TIFF marks missing data by the value {value} (GDAL_NODATA) in all channels, of"
            " which some would stay: alpha, or channels of unspecified meaning"
        )
    return value


def _complemented_statistics(page: Directory, channels: Channels) -> Changes:
    """Return the field with the statistics of samples, which GDAL and QGIS stretch contrast by."""
    field, ranges = page.fields.get(_GDAL_METADATA), _ranges(page, channels)[: channels.colors]

    def complemented(found: re.Match[bytes]) -> bytes:
        index = int(found[3])
        if index >= len(ranges):
            return found[0]
        number = sum(ranges[index]) - Decimal(found[4].decode())
        return _OPPOSITE[found[1]] + found[2] + f"{number:f}".encode()

    old = bytes(field.data) if field else b""
    new = _STATISTIC.sub(complemented, old)
    return {_GDAL_METADATA: Value(ASCII, len(new), new)} if new != old else {}


def _ranges(page: Directory, channels: Channels) -> list[tuple[int, int]]:
    """Return the smallest and the largest value that a sample of each channel can have."""
    formats, count = page.numbers(SAMPLE_FORMAT, 1), len(channels.bits)
    formats = formats if len(formats) == count else formats[:1] * count
    lowest = (
        -(1 << bits - 1) if sign == _SIGNED else 0
        for sign, bits in zip(formats, channels.bits, strict=True)
    )
    return [(low, low + (1 << bits) - 1) for low, bits in zip(lowest, channels.bits, strict=True)]


def _complemented_color_map(page: Directory) -> Value:
    field = page.fields.get(COLOR_MAP)
    values = page.numbers(COLOR_MAP) if field else []
    if not field or len(values) != 3 << page.number(BITS, 1):
        raise InvalidInput("the TIFF's color map has the wrong length")
    # Libtiff and ImageMagick take a map without larger values for one of 8 bits.
    largest = _BYTE if 0 < max(values) <= _BYTE else _WORD
    complemented = [largest - value for value in values]
    if largest == _WORD and 0 < max(complemented) <= _BYTE:
        raise InvalidInput("the negative of the TIFF's color map would be taken for one of 8 bits")
    return _encoded(complemented, field)


def _complemented_range(page: Directory, channels: Channels, low: int, high: int) -> Changes:
    """Return the smallest and the largest values of samples, which exchange their roles."""
    fields = page.fields.get(low), page.fields.get(high)
    problem = f"the TIFF's smallest and largest sample values (tags {low}, {high}) are "
    changes: Changes = {}
    counts = {len(field) for field in fields if field}
    if not counts:
        return changes
    if len(counts) > 1 or not counts <= {1, len(channels.bits)}:
        raise InvalidInput(f"{problem}not as many as its channels")
    if counts == {1} and channels.colors < len(channels.bits):
        raise InvalidInput(f"{problem}also those of channels that stay")
    (count,) = counts
    ranges = _ranges(page, channels)[:count]
    smallest, largest = (
        field.values() if field else list[float](default[index] for default in ranges)
        for index, field in enumerate(fields)
    )
    for index, (first, last) in enumerate(ranges[: channels.colors]):
        total = first + last
        smallest[index], largest[index] = total - largest[index], total - smallest[index]
    for index, (tag, values) in enumerate(((low, smallest), (high, largest))):
        if field := fields[index]:
            try:
                changes[tag] = _encoded(values, field)
            except (OverflowError, TypeError):
                raise InvalidInput(f"{problem}beyond its bit depth") from None
        elif values != [default[index] for default in ranges]:
            raise InvalidInput(f"{problem}not both there, and both would change")
    return changes


def of_blocks(page: Directory, places: Sequence[Place], *, is_big: bool) -> Changes:
    """Return the fields that change since a page's blocks do.

    Args:
        page: The page.
        places: The new places of its blocks, in their order.
        is_big: Whether the file is a BigTIFF.

    Returns:
        The changes.

    Raises:
        InvalidInput: A place is beyond the 4 GiB of a TIFF that is no BigTIFF.
    """  # noqa: DOC502  raised by what it calls
    tags = (JPEG_OFFSET, JPEG_BYTES) if blocks.is_jpeg_file(page) else tiff_segments.places(page)
    values = [place.offset for place in places], [place.size for place in places]
    changes: Changes = {}
    for tag, new in zip(tags, values, strict=True):
        field = page.fields.get(tag)
        if field and field.values() != new:
            changes[tag] = _encoded_places(new, field, is_big=is_big)
    return changes


def _encoded_places(values: Sequence[int], field: Field, *, is_big: bool) -> Value:
    for kind in (field.kind, LONG, *([LONG8] if is_big else [])):
        with suppress(OverflowError):
            return Value(kind, len(values), encode(values, kind, field.order))
    raise InvalidInput(_TOO_LARGE)


def of_metadata(directory: Directory) -> tuple[Changes, list[str]]:
    """Return the fields that change since they hold pictures.

    Args:
        directory: A page, or EXIF.

    Returns:
        The changes, and notes on what was dropped or blanked.
    """
    changes: Changes = {}
    notes = list[str]()
    for tag, field in directory.fields.items():
        if tag == _LAYERS:
            changes[tag] = None
            notes.append("dropped Photoshop's layers (tag ImageSourceData)")
        elif tag == _CREDENTIALS:
            changes[tag] = None
            notes.append(previews.CREDENTIALS_NOTE)
        elif field.kind in (ASCII, BYTE, UNDEFINED) and tag not in _WITHOUT_PICTURE:
            old = bytes(field.data) if len(field) >= _LEAST_PREVIEW else b""
            new = previews.Negated(old)
            if field.kind != ASCII and previews.holds_jpeg(old):
                new = previews.negate_tag(tag, old)
            elif field.kind == ASCII and _LONG_BASE64.search(old):  # in XML, as in Philips' slides
                new = previews.negate_xmp(old)
            if new.data != old:
                changes[tag] = Value(field.kind, len(new.data), new.data)
                notes += new.notes
    return changes, notes


def _encoded(values: Sequence[float], field: Field) -> Value:
    return Value(field.kind, len(values), encode(values, field.kind, field.order))


class DirectoryWriter:
    """Writes changed directories, in place or at the end of the file.

    Args:
        out: The result, which has all other bytes of the source at their places.
        tiff: The source's directories.
        end: Where the result ends.
        moves: Whether all directories of pictures, and their values, go to the end.

    Attributes:
        moved: The new first bytes of directories that go to the end, by their old ones.
        end: Where the result ends now.
    """

    def __init__(self, out: BinaryIO, tiff: Tiff, end: int, *, moves: bool) -> None:
        self._out, self._tiff, self.end = out, tiff, end
        self._width = 8 if tiff.is_big else 4  # bytes of counts, offsets, and values in an entry
        self._places: dict[tuple[int, int], int] = {}  # of moved values, which may be shared
        self.moved = {
            each.start: self._reserve(each.end - each.start) for each in tiff.pictures if moves
        }
        if moves:
            first = tiff.pages[0].start
            at = 8 if tiff.is_big else 4
            os.pwrite(out.fileno(), self._number(self.moved[first]), at)

    def _reserve(self, size: int) -> int:
        start = self.end + self.end % 2
        self.end = start + size
        return start

    def _number(self, value: int) -> bytes:
        try:
            return value.to_bytes(self._width, self._tiff.order)
        except OverflowError:
            raise InvalidInput(_TOO_LARGE) from None

    def sub_ifds(self, directory: Directory) -> Changes:
        """Return the change of a directory's tag SubIFDs if they go to the end."""
        field = directory.fields.get(SUB_IFDS)
        if not (field and self.moved):
            return {}
        starts = directory.numbers(SUB_IFDS)
        moved = [self.moved.get(start, start) for start in starts]
        return {SUB_IFDS: _encoded_places(moved, field, is_big=self._tiff.is_big)}

    def write(self, directory: Directory, changes: Changes) -> None:
        """Write a directory and its changed fields."""
        width, order = self._width, self._tiff.order
        is_moved = directory.start in self.moved
        image = bytearray(self._tiff.data[directory.start : directory.end])
        following = int.from_bytes(image[-width:], order)
        image[-width:] = self._number(self.moved.get(following, following))
        dropped = 0
        # Backwards: a dropped entry moves those behind it.
        fields = sorted(directory.fields.items(), key=lambda item: -item[1].entry)
        for tag, field in fields:
            is_outside = field.size > width
            if tag not in changes and not (is_moved and is_outside):
                continue
            at, value = field.entry - directory.start, changes.get(tag, _kept(field))
            if value is None:
                del image[at : at + 4 + 2 * width]
                dropped += 1
                stored = b""
            else:
                image[at + 2 : at + 4] = value.kind.to_bytes(2, order)
                image[at + 4 : at + 4 + width] = self._number(value.count)
                stored = value.data
                if len(stored) <= width:
                    image[at + 4 + width : at + 4 + 2 * width] = stored.ljust(width, b"\0")
                    stored = b""
                elif is_moved or not is_outside or len(stored) > field.size:
                    place = self._append(stored, None if tag in changes else field)
                    image[at + 4 + width : at + 4 + 2 * width] = self._number(place)
                    stored = b""
            if is_outside and not is_moved:
                os.pwrite(self._out.fileno(), stored.ljust(field.size, b"\0"), field.offset)
        count_bytes = 8 if self._tiff.is_big else 2
        count = int.from_bytes(image[:count_bytes], order) - dropped
        image[:count_bytes] = count.to_bytes(count_bytes, order)
        start = self.moved.get(directory.start, directory.start)
        os.pwrite(self._out.fileno(), image.ljust(directory.end - directory.start, b"\0"), start)

    def _append(self, data: bytes, field: Field | None) -> int:
        """Return where data is at the end; a field's values are appended once."""
        key = (field.offset, field.size) if field else None
        if key in self._places:
            return self._places[key]
        place = self._reserve(len(data))
        os.pwrite(self._out.fileno(), data, place)
        if key:
            self._places[key] = place
        return place


def _kept(field: Field) -> Value:
    return Value(field.kind, field.count, bytes(field.data))
