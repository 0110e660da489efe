"""Negate a JPEG without decoding it (see jpeg.c), with the previews in its segments.

Further JPEG streams after the picture's EOI (previews, a stereo pair, a gain map) are negated too,
and the MPF index follows their new offsets; zeros stay. Anything else there, such as the film of a
motion photo or a maker's trailer, would show the picture as it was: it is dropped, as is a further
stream that cannot be negated with all that follows it. It is never a reason to refuse the file.
Negating twice gives the same bytes, unless something was dropped or blanked, or a Huffman table
lacked a code and table K.3 took its place: then the same coefficients.
"""

import os
import re
from pathlib import Path
from typing import BinaryIO

from worker.errors import InvalidInput, UploadDeferred
from worker.transforms.negate import jpeg_segments, kernels, mpf, pillow, previews
from worker.transforms.negate.jpeg_segments import APP0, APP1, APP2, APP14, COM, FRAMES, SOI
from worker.transforms.negate.kernels import JpegStatus
from worker.transforms.negate.mpf import Move
from worker.transforms.pictures import pixel_limit
from worker.transforms.pictures.mapped_file import MappedFile

_NOT_ZERO = re.compile(rb"[^\0]")
_EOI = re.compile(rb"\xff\xd9")
_SUPPORTED_FRAMES = (0xC0, 0xC1, 0xC2)  # Huffman-coded, sequential or progressive
_JFIF_BYTES = 14  # before the thumbnail, whose width and height are the last two of them
# Sampling factors of three components that Pillow can write.
_PILLOW_SAMPLINGS = {(0x11, 0x11, 0x11), (0x21, 0x11, 0x11), (0x22, 0x11, 0x11)}


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a JPEG; by Pillow where the kernels are missing or do not support it.

    Args:
        file: The JPEG.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: The JPEG is damaged, too large, or cannot be kept whole.
        UploadDeferred: Only the kernels keep it whole, and they are not built yet.
    """
    if transcode(file, target, pixels):
        return []
    lost = _lost_by_pillow(file.data)
    if kernels.library is None:
        lost = lost or ("further pictures" if _has_further_picture(file.data) else None)
        if lost:
            raise UploadDeferred(
                f"the JPEG has {lost}, which only the compiled kernels keep; not built yet"
            )
    elif lost:
        raise InvalidInput(
            f"the kernels do not support this kind of JPEG, and its {lost} would be lost"
        )
    pillow.negate(file.path, target, pixels, "JPEG")
    return []


def transcode(file: MappedFile, target: Path, pixels: int) -> bool:
    """Write the negative of a JPEG by the kernels.

    Raises InvalidInput if it is damaged or too large.

    Args:
        file: The JPEG.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Returns:
        Whether the kernels are there and support the file; else the target is undefined.
    """
    data = file.data
    if not _is_supported(data, pixels) or kernels.library is None:
        return False
    head, scan = previews.negate_head(data)
    with target.open("wb") as out:
        picture = _append_negative(data, 0, head, scan, out)
        if not picture:
            return False
        moves = [picture, *_append_further_pictures(data, picture, out)]
        mpf.update(data, head, moves, out)
    return True


def _is_supported(data: memoryview, pixels: int) -> bool:
    for marker, _, at, end in jpeg_segments.read(data):
        if marker in FRAMES:
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (1, 3))
            pixel_limit.check(width * height, pixels)
            return marker in _SUPPORTED_FRAMES and end - at >= 6 and data[at] == 8  # noqa: PLR2004
    raise InvalidInput("the JPEG has no frame before its first scan")


def _append_negative(
    data: memoryview, at: int, head: bytes, scan: int, out: BinaryIO
) -> Move | None:
    """Append the negative of the JPEG at `at`; None, and nothing appended, if not supported."""
    start = out.tell()
    for standard_tables in (False, True):
        status, used = kernels.negate_jpeg(
            head, data[at + scan :], out.fileno(), standard_tables=standard_tables
        )
        if status == JpegStatus.DONE:
            return Move(at, scan + used, start, out.seek(0, os.SEEK_END) - start)
        out.seek(start)
        out.truncate()
        if status == JpegStatus.TRUNCATED:
            raise InvalidInput("the JPEG is truncated")
        if status == JpegStatus.DAMAGED:
            raise InvalidInput(f"the JPEG is damaged at or after byte {at + scan}")
        if status != JpegStatus.NO_CODE:
            break
    return None


def _append_further_pictures(data: memoryview, picture: Move, out: BinaryIO) -> list[Move]:
    """Append the negatives of the streams after the first picture, and the zeros between them."""
    moves: list[Move] = []
    while True:
        at, before = picture.old_start + picture.old_length, out.tell()
        found = _NOT_ZERO.search(data, at)
        start = found.start() if found else len(data)
        if found and data[start : start + 2] != SOI:
            return moves
        out.write(data[at:start])
        out.flush()
        if not found:
            return moves
        try:
            head, scan = previews.negate_head(data[start:])
            further = _append_negative(data, start, head, scan, out)
        except (InvalidInput, MemoryError):
            further = None
        if not further:
            out.seek(before)
            out.truncate()
            return moves
        moves.append(further)
        picture = further


def _lost_by_pillow(data: memoryview) -> str | None:
    """Return what Pillow would blank, drop or change of the first picture."""
    comments = 0
    for segment in jpeg_segments.read(data):
        content = bytes(data[segment.content : segment.end])
        comments += segment.marker == COM
        if segment.marker in FRAMES:
            samplings = tuple(content[7::3])
            if len(samplings) == 3 and samplings not in _PILLOW_SAMPLINGS:  # noqa: PLR2004
                return "sampling of colors"
        elif segment.marker == APP2 and content.startswith(b"MPF\0"):
            return "further pictures"
        elif segment.marker & 0xF0 == APP0 and not _is_kept_by_pillow(segment.marker, content):
            return "previews or metadata"
    return "comments" if comments > 1 else None


def _is_kept_by_pillow(marker: int, content: bytes) -> bool:
    if marker == APP0 and content.startswith(b"JFIF\0"):
        return len(content) <= _JFIF_BYTES or not (content[12] and content[13])
    if marker == APP1 and content.startswith((b"Exif\0\0", previews.XMP)):
        return not previews.holds_jpeg(content)
    if marker == APP2:
        return content.startswith(b"ICC_PROFILE\0")
    return marker == APP14


def _has_further_picture(data: memoryview) -> bool:
    """Return whether another JPEG stream follows the first one's EOI."""
    *_, scan = jpeg_segments.read(data)
    # FF is stuffed with 00 in entropy-coded data (T.81, B.1.1.5), so this is a marker.
    end = _EOI.search(data, scan.end)
    found = _NOT_ZERO.search(data, end.end()) if end else None
    return found is not None and data[found.start() : found.start() + 2] == SOI
