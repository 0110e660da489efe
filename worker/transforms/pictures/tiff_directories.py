"""Read the directories of TIFF files (TIFF 6.0; BigTIFF), without their pixels."""

import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from worker.errors import InvalidInput

BYTE, ASCII, UNDEFINED = 1, 2, 7
EXIF, GPS = 34665, 34853  # tags with the offset of another directory
_RATIONALS = (5, 10)
# By field type: bytes of a value, and its `array` code; of a rational, the code of its halves.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 6: "b", 7: "B", 8: "h", 9: "i", 10: "i"}
_CODES |= {11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0")
_BIGTIFF = 43
_MAX_ENTRIES = 200_000  # in all directories: those of a crafted file may overlap

_Order = Literal["little", "big"]


@dataclass(frozen=True)
class Field:
    """One entry of a directory.

    Attributes:
        kind: Its type, as TIFF numbers it.
        order: The file's byte order.
        offset: Where its values are in the file.
        data: Its values.
    """

    kind: int
    order: _Order
    offset: int
    data: memoryview

    def __len__(self) -> int:
        return len(self.data) // _SIZES[self.kind]

    def encoded(self, order: _Order) -> bytes:
        """Return the data in a byte order."""
        numbers: array[int] = array(_CODES[self.kind])
        numbers.frombytes(self.data)
        if self.order != order:
            numbers.byteswap()
        return numbers.tobytes()

    def values(self) -> list[float | None]:
        """Return the values; None for a rational whose denominator is 0."""
        numbers: array[int] = array(_CODES[self.kind])
        numbers.frombytes(self.encoded(sys.byteorder))
        if self.kind not in _RATIONALS:
            return list(numbers)
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [float(Fraction(a, b)) if b else None for a, b in pairs]


@dataclass(frozen=True)
class Directory:
    """A directory's fields by tag."""

    fields: dict[int, Field]

    def numbers(self, tag: int, *default: int) -> list[int]:
        """Return the values of a field of integers.

        Args:
            tag: The field.
            default: What to return if it is missing.

        Returns:
            All its values.

        Raises:
            InvalidInput: The field is empty or is text.
        """
        field = self.fields.get(tag)
        if field is None:
            return list(default)
        if field.kind == ASCII or not field.data:
            raise InvalidInput(f"the TIFF's tag {tag} is not a number")
        return [int(value or 0) for value in field.values()]

    def number(self, tag: int, default: int) -> int:
        """Return the first value of a field of integers, or the default if it is missing."""
        return self.numbers(tag, default)[0]


@dataclass(frozen=True)
class Tiff:
    """A file's directories.

    Attributes:
        form: TIFF or BigTIFF, with its byte order if that is big-endian.
        size: Bytes of the file.
        pages: The main directories, in their order.
        metadata: Of each page, the EXIF and GPS directories by tag; None: damaged.
    """

    form: str
    size: int
    pages: list[Directory]
    metadata: list[dict[int, Directory | None]]


def read(data: memoryview) -> Tiff:
    """Read all directories of a TIFF but those of SubIFDs.

    Args:
        data: The file.

    Returns:
        The directories.

    Raises:
        InvalidInput: The main directories are damaged.
    """
    if not bytes(data[:8]).startswith(_MAGIC):
        raise InvalidInput("the TIFF's header is damaged")
    reader = _Reader(data)
    pages = list(reader.pages())
    if not pages:
        raise InvalidInput("the TIFF has no picture")
    metadata = []
    for page in pages:
        found: dict[int, Directory | None] = {}
        for tag in (EXIF, GPS):
            if tag in page.fields:
                found[tag] = None
                with suppress(InvalidInput):
                    found[tag], _ = reader.directory(page.number(tag, 0))
        metadata.append(found)
    return Tiff(reader.form, len(data), pages, metadata)


class _Reader:
    """Reads directories from bytes that may be crafted."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._order: _Order = "little" if bytes(data[:2]) == b"II" else "big"
        self._is_big = self._number(2, 2) == _BIGTIFF
        self._offset_bytes = 8 if self._is_big else 4
        self._entries = 0
        byte_order = "big-endian " if self._order == "big" else ""
        self.form = f"{byte_order}{'BigTIFF' if self._is_big else 'TIFF'}"

    def pages(self) -> Iterator[Directory]:
        at, seen = self._number(8 if self._is_big else 4, self._offset_bytes), set[int]()
        while at:
            if at in seen:
                raise InvalidInput("the TIFF's chain of directories is a loop")
            seen.add(at)
            directory, at = self.directory(at)
            yield directory

    def directory(self, at: int) -> tuple[Directory, int]:
        """Return the directory at an offset, and the offset of the next one."""
        count_bytes, entry_bytes = (8, 20) if self._is_big else (2, 12)
        count = self._number(at, count_bytes)
        self._entries += count
        if self._entries > _MAX_ENTRIES:
            raise InvalidInput(f"the TIFF has more than {_MAX_ENTRIES} directory entries")
        start = at + count_bytes
        end = start + count * entry_bytes
        fields: dict[int, Field] = {}
        for entry in range(start, end, entry_bytes):
            fields.setdefault(self._number(entry, 2), self._field(entry))
        return Directory(fields), self._number(end, self._offset_bytes)

    def _field(self, at: int) -> Field:
        tag, kind = self._number(at, 2), self._number(at + 2, 2)
        if kind not in _SIZES:
            raise InvalidInput(f"the TIFF's tag {tag} is of the unknown type {kind}")
        length = self._number(at + 4, self._offset_bytes) * _SIZES[kind]
        start = at + 4 + self._offset_bytes
        if length > self._offset_bytes:
            start = self._number(start, self._offset_bytes)
        if start + length > len(self._data):
            raise InvalidInput(f"the TIFF is truncated: tag {tag} lies beyond the file's end")
        return Field(kind, self._order, start, self._data[start : start + length])

    def _number(self, at: int, size: int) -> int:
        if at + size > len(self._data):
            raise InvalidInput("the TIFF is truncated: a directory lies beyond the file's end")
        return int.from_bytes(self._data[at : at + size], self._order)
