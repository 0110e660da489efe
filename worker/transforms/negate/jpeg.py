"""Negate a JPEG without decoding it (see jpeg.c), with the previews in its segments.

Behind the picture's EOI, further JPEG streams (MPF, CIPA DC-007: previews, a stereo pair, a gain
map) are negated too and the MPF index follows their new places; zeros stay. Anything else there
(the film of a motion photo, a maker's trailer) would show the picture as it was and is dropped, as
is a further stream that cannot be negated, with all behind it; the MPF index is blanked then.
Negating twice gives the same bytes, unless something was dropped or blanked, or a Huffman table
lacked a code and table K.3 came in its place: then the same coefficients.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from worker.errors import InvalidInput
from worker.transforms.negate import kernels, previews
from worker.transforms.negate.mapped_file import MappedFile

_NOT_ZERO = re.compile(rb"[^\0]")
_EOI = re.compile(rb"\xff\xd9")
_SOI = b"\xff\xd8"
_APP0, _APP1, _APP2, _APP14, _APP15, _COMMENT, _SCAN = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE, 0xDA
_JFIF_HEADER = 14  # the thumbnail's width and height are its last two bytes
_ENTRIES, _ENTRY = 0xB002, 16  # MP Entry: its tag, bytes a picture
_FRAMES = {0xC0, 0xC1, 0xC2}  # what jpeg.c takes

#: A picture's place before and after: first byte and length, twice.
_Move = tuple[int, int, int, int]


def negate(source: Path, target: Path, pixels: int) -> bool:
    """Write the negative of source to target; False: this kind of JPEG is for another way.

    InvalidInput where it is damaged, ends too early, or has more than so many pixels.
    """
    if kernels.library is None:
        return False
    data = MappedFile(source).data
    if not _is_ours(data, pixels):
        return False
    head, scan = previews.head(data)
    with target.open("wb") as out:
        picture = _picture(data, 0, head, scan, out)
        if not picture:
            return False
        moved = [picture]
        _trailer(data, moved, out)
        _mend_index(data, head, moved, out)
    return True


def lost_by_pillow(data: memoryview) -> str | None:
    """What Pillow would blank or drop of the first picture's segments; None: nothing."""
    comments = 0
    for marker, _, at, end in previews.segments(data):
        content = bytes(data[at:end])
        comments += marker == _COMMENT
        if marker == _APP0 and content[:5] == b"JFIF\0":
            kept = len(content) <= _JFIF_HEADER or not (content[12] and content[13])
        elif marker == _APP1:
            kept = content.startswith((b"Exif\0\0", previews.XMP))
            kept = kept and not previews.holds_jpeg(content)
        elif marker == _APP2:
            kept = content.startswith(b"ICC_PROFILE\0")
        else:
            kept = not _APP2 < marker <= _APP15 or marker == _APP14
            kept = kept and marker != _APP0 and comments <= 1
        if not kept:
            mpf = marker == _APP2 and content.startswith(b"MPF\0")
            return "further pictures" if mpf else "previews or metadata"
    return None


def has_further_picture(data: memoryview) -> bool:
    """Whether another JPEG stream follows the first one's EOI."""
    *_, (_, _, _, scan) = previews.segments(data)
    # FF is stuffed with 00 in entropy-coded data (T.81, B.1.1.5): this is a marker.
    end = _EOI.search(data, scan)
    found = _NOT_ZERO.search(data, end.end()) if end else None
    return found is not None and data[found.start() : found.start() + 2] == _SOI


def _is_ours(data: memoryview, pixels: int) -> bool:
    for marker, _, at, end in previews.segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # noqa: PLR2004
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (1, 3))
            if width * height > pixels:
                raise InvalidInput(f"it has more than {pixels} pixels")
            return marker in _FRAMES and end - at >= 6 and data[at] == 8  # noqa: PLR2004
    raise InvalidInput("the JPEG has no frame before its first scan")


def _picture(data: memoryview, at: int, head: bytes, scan: int, out: BinaryIO) -> _Move | None:
    """Append the negative of the JPEG at `at`; None, and nothing appended, if it is not ours."""
    begin = out.tell()
    for anew in (False, True):
        answer, used = kernels.jpeg(head, data[at + scan :], out.fileno(), anew=anew)
        if answer == kernels.DONE:
            return at, scan + used, begin, out.seek(0, os.SEEK_END) - begin
        out.seek(begin)
        out.truncate()
        if answer == kernels.TRUNCATED:
            raise InvalidInput("the JPEG ends too early")
        if answer == kernels.DAMAGED:
            raise InvalidInput(f"the JPEG is damaged at or after byte {at + scan}")
        if answer != kernels.NO_CODE:
            break
    return None


def _trailer(data: memoryview, moved: list[_Move], out: BinaryIO) -> None:
    while True:
        start, length, _, _ = moved[-1]
        at, before = start + length, out.tell()
        found = _NOT_ZERO.search(data, at)
        next_one = found.start() if found else len(data)
        if found and data[next_one : next_one + 2] != _SOI:
            return
        out.write(data[at:next_one])
        out.flush()
        if not found:
            return
        try:
            head, scan = previews.head(data[next_one:])
            picture = _picture(data, next_one, head, scan, out)
        except (InvalidInput, MemoryError):
            picture = None
        if not picture:
            out.seek(before)
            out.truncate()
            return
        moved.append(picture)


def _mend_index(data: memoryview, head: bytes, moved: list[_Move], out: BinaryIO) -> None:
    """Give the MPF index (DC-007, 5.2.3) the new places and sizes."""
    old = _index(data)
    new = _index(head) if old else None
    if not (old and new):
        return
    tiff = bytearray(data[old[0] : old[1]])
    places = {start: (begin, length) for start, _, begin, length in moved}
    try:
        for at, order in _entries(tiff):
            offset = int.from_bytes(tiff[at + 8 : at + 12], order)
            begin, length = places[old[0] + offset if offset else 0]
            tiff[at + 4 : at + 8] = length.to_bytes(4, order)
            tiff[at + 8 : at + 12] = (begin - new[0] if begin else 0).to_bytes(4, order)
    except (KeyError, OverflowError):  # it names what is not there any more
        tiff = bytearray(len(tiff))
    os.pwrite(out.fileno(), tiff, new[0])


def _index(data: memoryview | bytes) -> tuple[int, int] | None:
    """Where the index, a TIFF header first, begins and ends."""
    for marker, _, content, end in previews.segments(data):
        if marker == _SCAN or content >= len(data):
            break
        if marker == _APP2 and data[content : content + 4] == b"MPF\0":
            return content + 4, end
    return None


def _entries(tiff: bytearray) -> Iterator[tuple[int, Literal["little", "big"]]]:
    """The first byte of each picture's entry, and the byte order."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    first = number(4, 4)
    for field in range(number(first, 2)):
        at = first + 2 + 12 * field
        if number(at, 2) == _ENTRIES:
            start, size = number(at + 8, 4), number(at + 4, 4)
            for entry in range(start, min(start + size, len(tiff) - _ENTRY + 1), _ENTRY):
                yield entry, order
