"""Read the directories of TIFF files (TIFF 6.0; BigTIFF), without their pixels."""

import struct
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from worker.errors import InvalidInput

BYTE, ASCII, LONG, UNDEFINED, LONG8 = 1, 2, 4, 7, 16
SUB_IFDS, EXIF = 330, 34665  # tags with the offsets of other directories
_UNSIGNED = (1, 3, 4, 13, 16, 18)
_INTEGERS = (*_UNSIGNED, 6, 8, 9, 17)
# By field type: bytes of a value, and its `array` code; of a rational, the code of its halves.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 6: "b", 7: "B", 8: "h", 9: "i", 10: "i"}
_CODES |= {11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0")
_BIGTIFF, _BIGTIFF_MAGIC = 43, (b"II+\0", b"MM\0+")
# In all directories. Those of a crafted file may overlap, and so may their fields' values.
_MAX_ENTRIES = 200_000
_MAX_SHARING = 16

Order = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of a directory.

    Attributes:
        kind: Its type, as TIFF numbers it.
        order: The file's byte order.
        entry: Where its entry is in the file.
        offset: Where its values are in the file: in the entry if they fit.
        count: How many they are.
        file: The file.
    """

    kind: int
    order: Order
    entry: int
    offset: int
    count: int
    file: memoryview

    def __len__(self) -> int:
        return self.count

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return self.count * _SIZES[self.kind]

    @property
    def data(self) -> memoryview:
        """Its values as they are in the file."""
        return self.file[self.offset : self.offset + self.size]

    def values(self) -> list[float]:
        """Return the values; of rationals, numerators and denominators."""
        numbers: array[float] = array(_CODES[self.kind])
        numbers.frombytes(self.data)
        if self.order != sys.byteorder:
            numbers.byteswap()
        return numbers.tolist()


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory.

    Attributes:
        start: Its first byte in the file.
        end: The byte after the offset of the next directory.
        fields: Its fields by tag.
    """

    start: int
    end: int
    fields: dict[int, Field]

    def numbers(self, tag: int, *default: int) -> list[int]:
        """Return the values of a field of integers.

        Args:
            tag: The field.
            default: What to return if it is missing.

        Returns:
            All its values.

        Raises:
            InvalidInput: The field is empty, or not of integers of at least 0.
        """
        field = self.fields.get(tag)
        if field is None:
            return list(default)
        values = field.values() if field.kind in _INTEGERS else []
        if not values or min(values) < 0:
            raise InvalidInput(f"the TIFF's tag {tag} must be an integer of at least 0")
        return [int(value) for value in values]

    def number(self, tag: int, default: int) -> int:
        """Return the first value of a field of integers, or the default if it is missing."""
        field = self.fields.get(tag)
        if field and field.kind in _UNSIGNED and field.count:
            return int.from_bytes(field.data[: _SIZES[field.kind]], field.order)
        return self.numbers(tag, default)[0]


@dataclass(frozen=True)
class Tiff:
    """A file's directories.

    Attributes:
        order: Its byte order.
        is_big: Whether it is a BigTIFF.
        data: The file.
        pages: The main directories, in their order.
        levels: Of each page, the directories below it by tag 330 (SubIFDs), at any depth.
        exif: The EXIF directories that could be read.
    """

    order: Order
    is_big: bool
    data: memoryview
    pages: list[Directory]
    levels: list[list[Directory]]
    exif: list[Directory]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)

    @property
    def form(self) -> str:
        """TIFF or BigTIFF, with its byte order if that is big-endian."""
        byte_order = "big-endian " if self.order == "big" else ""
        return f"{byte_order}{'BigTIFF' if self.is_big else 'TIFF'}"

    @property
    def pictures(self) -> list[Directory]:
        """The directories of all pages and of their levels."""
        pairs = zip(self.pages, self.levels, strict=True)
        return [picture for page, levels in pairs for picture in (page, *levels)]


def read(data: memoryview) -> Tiff:
    """Read all directories of a TIFF.

    Args:
        data: The file.

    Returns:
        The directories.

    Raises:
        InvalidInput: A directory of pictures is damaged.
    """
    if not bytes(data[:8]).startswith(_MAGIC):
        size = int.from_bytes(data[4:6], "little" if bytes(data[:2]) == b"II" else "big")
        if bytes(data[:4]) in _BIGTIFF_MAGIC and size != 8:  # noqa: PLR2004
            raise InvalidInput(
                f"the BigTIFF's header is damaged: it must have offsets of 8 bytes, not {size}"
            )
        raise InvalidInput("the TIFF's header is damaged")
    reader = _Reader(data)
    pages = reader.pages()
    if not pages:
        raise InvalidInput("the TIFF has no picture")
    levels = [reader.levels(page) for page in pages]
    exif = []
    for at in {page.number(EXIF, 0): None for page in pages if EXIF in page.fields}:
        with suppress(InvalidInput):
            exif.append(reader.directory(at)[0])
    return Tiff(reader.order, reader.is_big, data, pages, levels, exif)


def encode(values: Sequence[float], kind: int, order: Order) -> bytes:
    """Return the values of a field as they are stored.

    Args:
        values: The values; of rationals, numerators and denominators.
        kind: The field's type, as TIFF numbers it.
        order: The file's byte order.

    Returns:
        The bytes.

    Raises:
        OverflowError: A value is beyond the type.
        TypeError: A value of a type of integers is none.
    """  # noqa: DOC502  raised by array
    numbers: array[float] = array(_CODES[kind], values)
    if order != sys.byteorder:
        numbers.byteswap()
    return numbers.tobytes()


class _Reader:
    """Reads directories from bytes that may be crafted."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.order: Order = "little" if bytes(data[:2]) == b"II" else "big"
        self.is_big = self._number(2, 2) == _BIGTIFF
        self._offset_bytes = 8 if self.is_big else 4
        sign = "<" if self.order == "little" else ">"
        # Tag, type, number of values, and the values or their offset (TIFF 6.0, section 2).
        self._entry = struct.Struct(f"{sign}HH{'QQ' if self.is_big else 'II'}")
        self._entries = self._value_bytes = 0
        self._seen = set[int]()

    def pages(self) -> list[Directory]:
        """Return the main directories."""
        found = []
        at = self._number(8 if self.is_big else 4, self._offset_bytes)
        while at:
            if at in self._seen:
                raise InvalidInput("the TIFF's chain of directories is a loop")
            directory, at = self._next(at)
            found.append(directory)
        return found

    def levels(self, page: Directory) -> list[Directory]:
        """Return the directories below a page, each before those below itself."""
        found, pending = list[Directory](), [page]
        while pending:
            current = pending.pop()
            if SUB_IFDS in current.fields:
                below = [each for at in current.numbers(SUB_IFDS) for each in self._chain(at)]
                found += below
                pending += reversed(below)
        return found

    def _chain(self, at: int) -> list[Directory]:
        """Return a SubIFD and those after it, which tag 330 may list as well."""
        found = []
        while at and at not in self._seen:
            directory, at = self._next(at)
            found.append(directory)
        return found

    def _next(self, at: int) -> tuple[Directory, int]:
        self._seen.add(at)
        return self.directory(at)

    def directory(self, at: int) -> tuple[Directory, int]:
        """Return the directory at an offset, and the offset of the next one."""
        count_bytes = 8 if self.is_big else 2
        count = self._number(at, count_bytes)
        start = at + count_bytes
        end = start + count * self._entry.size
        following = self._number(end, self._offset_bytes)  # also checks that all is in the file
        self._entries += count
        if self._entries > _MAX_ENTRIES:
            raise InvalidInput(f"the TIFF has more than {_MAX_ENTRIES:,} directory entries")
        fields: dict[int, Field] = {}
        entries = self._entry.iter_unpack(self._data[start:end])
        for entry, values in zip(range(start, end, self._entry.size), entries, strict=True):
            # A field of unknown type is to be skipped (TIFF 6.0, section 2).
            if values[1] in _SIZES:
                fields.setdefault(values[0], self._field(entry, *values))
        return Directory(at, end + self._offset_bytes, fields), following

    def _field(self, entry: int, tag: int, kind: int, count: int, offset: int) -> Field:
        size = count * _SIZES[kind]
        if size <= self._offset_bytes:
            offset = entry + 4 + self._offset_bytes
        else:
            self._value_bytes += size
        if offset + size > len(self._data):
            raise InvalidInput(f"the TIFF is truncated: tag {tag} lies beyond the file's end")
        if self._value_bytes > _MAX_SHARING * len(self._data):
            raise InvalidInput("the TIFF's directories share too many values")
        return Field(kind, self.order, entry, offset, count, self._data)

    def _number(self, at: int, size: int) -> int:
        if at + size > len(self._data):
            raise InvalidInput("the TIFF is truncated: a directory lies beyond the file's end")
        return int.from_bytes(self._data[at : at + size], self.order)
