"""Check that CCITT data can be decoded: the data stays, so damage would go unnoticed."""

import re
from io import BytesIO

from PIL import Image

from worker.errors import InvalidInput
from worker.transforms.negate.tiff.blocks import Block
from worker.transforms.pictures import libtiff_messages
from worker.transforms.pictures.decoding import translated_errors
from worker.transforms.pictures.tiff_directories import LONG, Directory, encode
from worker.transforms.pictures.tiff_pages import (
    BITS,
    CHANNELS,
    COMPRESSION,
    FILL_ORDER,
    HEIGHT,
    PHOTOMETRIC,
    ROWS_PER_STRIP,
    STRIP_BYTES,
    STRIP_OFFSETS,
    WIDTH,
)

_OPTIONS = (292, 293)  # T4Options, T6Options


def check(page: Directory, its_blocks: list[Block], data: memoryview) -> None:
    """Decode the strips or tiles of a page, one by one.

    Args:
        page: The page.
        its_blocks: Its strips or tiles.
        data: The file.

    Raises:
        InvalidInput: One is damaged, as far as libtiff reports it.
    """
    for offset, size, coding in its_blocks:
        if not size:
            continue
        columns = coding.samples.columns if coding.samples else 0
        file = _file(page, columns, coding.rows, bytes(data[offset : offset + size]))
        try:
            with (
                libtiff_messages.captured() as messages,
                translated_errors("TIFF", columns * coding.rows),
                Image.open(BytesIO(file), formats=("TIFF",)) as image,
            ):
                image.load()
        except InvalidInput:
            messages += b"Fax:"
        if re.search(rb"^Fax\w*:", messages, re.MULTILINE):
            raise InvalidInput("the TIFF's CCITT data is damaged")


def _file(page: Directory, columns: int, rows: int, code: bytes) -> bytes:
    """Return a TIFF of one strip."""
    fields = {WIDTH: columns, HEIGHT: rows, BITS: 1, PHOTOMETRIC: 1, CHANNELS: 1}
    fields |= {ROWS_PER_STRIP: rows, STRIP_BYTES: len(code)}
    fields |= {tag: page.number(tag, 1) for tag in (COMPRESSION, FILL_ORDER)}
    fields |= {tag: page.number(tag, 0) for tag in _OPTIONS}
    fields[STRIP_OFFSETS] = 8 + 2 + 12 * (len(fields) + 1) + 4
    entries = [
        encode((tag, LONG), 3, "little") + encode((1, value), LONG, "little")
        for tag, value in sorted(fields.items())
    ]
    head = b"II*\0" + encode((8,), LONG, "little") + len(entries).to_bytes(2, "little")
    return head + b"".join(entries) + bytes(4) + code
