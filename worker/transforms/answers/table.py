"""CSV files (RFC 4180, and what spreadsheets make of it): read row by row, columns added.

What was read is written back as it was, character by character: delimiter, quotes, line ends, byte
order mark. Added are fields at the end of each record.
"""

import codecs
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from worker.errors import InvalidInput
from worker.transforms import MAX_RECORD_BYTES

MAX_ROWS = 50_000
_MAX_FIELD = 1 << 24  # characters; an unclosed quote makes one field of the rest of a file
_RECORD_BYTES = 140  # JSON of a record without its question
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SHOWN = 20
_END = "\r\n"


@dataclass(frozen=True)
class Row:
    """A record of the file.

    Attributes:
        number: Its number among the rows, from 1; 0 for the header, and for an empty line.
        text: As it is in the file.
        fields: What it says; [] for an empty line.
    """

    number: int
    text: str
    fields: Sequence[str]


class Table:
    """A CSV file whose first record names its columns.

    Args:
        path: The file.
        needed: The columns that it must have.

    Attributes:
        columns: The names of its columns.

    Raises:
        InvalidInput: It is no such file.
    """

    def __init__(self, path: Path, needed: Sequence[str]) -> None:
        self._path = path
        csv.field_size_limit(_MAX_FIELD)
        with path.open("rb") as file:
            beginning = file.read(len(codecs.BOM_UTF8))
        if beginning.startswith(_UTF_16):
            raise InvalidInput("it is UTF-16: save it as UTF-8")
        self._mark = "\ufeff" if beginning == codecs.BOM_UTF8 else ""
        self._delimiter, self._header = self._detect(needed)
        self.columns = [name.strip() for name in self._header.fields]

    def position(self, column: str) -> int:
        """Return the index of a column."""
        return self.columns.index(column)

    def check(self, question: int) -> int:
        """Read all of it.

        Args:
            question: The column that becomes part of each record.

        Returns:
            The number of rows.

        Raises:
            InvalidInput: It cannot be read to its end, or has too many rows.
        """
        count = size = 0
        for row in self.rows():
            count = row.number or count
            if len(row.fields) > question:
                size += _RECORD_BYTES + len(json.dumps(row.fields[question]))
            if count > MAX_ROWS:
                raise InvalidInput(f"it has more than {MAX_ROWS:,} rows: split it")
            if size > MAX_RECORD_BYTES:
                raise InvalidInput(
                    f"its records would exceed {MAX_RECORD_BYTES >> 20} MiB from row {count:,} on:"
                    " split it"
                )
        return count

    def rows(self) -> Iterator[Row]:
        """Read the rows, and the empty lines among them.

        Yields:
            Each.

        Raises:
            InvalidInput: The file cannot be read further.
        """  # noqa: DOC502  raised by _records
        number = 0
        with self._path.open(encoding="utf-8", newline="") as file:
            records = self._records(file, self._delimiter)
            next(records)
            for row in records:
                number += bool(row.fields)
                yield Row(number if row.fields else 0, row.text, row.fields)

    def header_with(self, names: Sequence[str]) -> str:
        """Return the file's beginning with columns added."""
        return self._mark + self._extended(self._header, names, "\n")

    def with_fields(self, row: Row, added: Sequence[str]) -> str:
        """Return a row with fields of the added columns; an empty line stays as it is."""
        if not row.fields:
            return row.text
        missing = len(self.columns) - len(row.fields)
        if missing >= 0:
            return self._extended(row, [*[""] * missing, *added])
        # Surplus fields go last, or the added ones would be below other columns.
        fields = [*row.fields[:missing], *added, *row.fields[missing:]]
        return self._joined(fields) + _line_end(row.text)

    def _extended(self, row: Row, fields: Sequence[str], default_end: str = "") -> str:
        end = _line_end(row.text)
        body = row.text[: len(row.text) - len(end)]
        return body + self._delimiter + self._joined(fields) + (end or default_end)

    def _joined(self, fields: Sequence[str]) -> str:
        text = io.StringIO()
        # A field with a line break is quoted if the writer's own line ends have the same.
        csv.writer(text, delimiter=self._delimiter, lineterminator=_END).writerow(fields)
        return text.getvalue().removesuffix(_END)

    def _detect(self, needed: Sequence[str]) -> tuple[str, Row]:
        """Return the delimiter and the header: those with the needed columns."""
        found: dict[str, Row] = {}
        for delimiter in _DELIMITERS:
            with self._path.open(encoding="utf-8", newline="") as file:
                header = next(self._records(file, delimiter), None)
            if header is None or not header.fields:
                raise InvalidInput(
                    f"its first line is empty: it must name the columns {' and '.join(needed)}"
                )
            found[delimiter] = header
            names = [name.strip() for name in header.fields]
            if repeated := [name for name in needed if names.count(name) > 1]:
                raise InvalidInput(f"it has two columns {repeated[0]!r}: rename one")
            if set(needed) <= set(names):
                return delimiter, header
        delimiter = max(found, key=lambda one: len(found[one].fields))
        names = [name.strip() for name in found[delimiter].fields]
        missing = next(name for name in needed if name not in names)
        shown = ", ".join(repr(name) for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise InvalidInput(
            f"it has no column {missing!r}; its columns, separated by {_DELIMITERS[delimiter]}, are"
            f" {shown}{more}: rename one, or set the parameters question and context"
        )

    def _records(self, file: TextIO, delimiter: str) -> Iterator[Row]:
        """Read records with their text; the byte order mark is left out."""
        lines: list[str] = []

        def taken() -> Iterator[str]:
            for line in file:
                lines.append(line)
                yield line

        file.read(len(self._mark))
        reader = csv.reader(taken(), delimiter=delimiter)
        text, first = "", 1
        try:
            for fields in reader:
                text, first = "".join(lines), reader.line_num - len(lines) + 1
                lines.clear()
                if "\0" in text:
                    raise InvalidInput(
                        f"line {reader.line_num} has a NUL character: save the file as UTF-8"
                    )
                yield Row(0, text, fields)
        except UnicodeDecodeError:
            raise InvalidInput(self._undecodable()) from None
        except csv.Error as error:
            raise InvalidInput(f"line {reader.line_num} is not CSV: {error}") from None
        if _is_unclosed(text, delimiter):
            raise InvalidInput(f"a quote in the record of line {first} is not closed")

    def _undecodable(self) -> str:
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    byte = line[error.start]
                    return f"line {number} is not UTF-8 (byte 0x{byte:02x}): save it as UTF-8"
        return "it is not UTF-8: save it as UTF-8"


def _is_unclosed(text: str, delimiter: str) -> bool:
    """Return whether a file's last record ends inside of a quoted field."""
    # A further field stays of its own unless it is inside of quotes.
    body = text.rstrip("\r\n")
    fields = [list(csv.reader([one], delimiter=delimiter)) for one in (body, body + delimiter)]
    return bool(body) and len(fields[0][-1]) == len(fields[1][-1])


def _line_end(text: str) -> str:
    return text[len(text.rstrip("\r\n")) :]
