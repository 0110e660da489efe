"""Negate a JPEG without decoding it (see jpeg.c), with the previews in its segments.

Further JPEG streams after the picture's EOI (previews, a stereo pair, a gain map) are negated too,
and the MPF index and the GContainer directory follow their new offsets; zeros stay, and so do depth
maps, which have no colors. A gain map is negated because it shows the picture, and because on the
negative it would brighten what is dark now.

Anything else there, such as the film of a motion photo or a maker's trailer, would show the picture
as it was: it is dropped, as is a further stream that cannot be negated with all that follows it. It
is never a reason to refuse the file. Negating twice gives the same bytes, unless something was
dropped or blanked, or a Huffman table lacked a code and table K.3 took its place: then the same
coefficients.
"""

import io
import re
from pathlib import Path
from typing import BinaryIO

from worker.errors import InvalidInput
from worker.quantities import counted
from worker.transforms.negate import gcontainer, jpeg_segments, kernels, mpf, previews
from worker.transforms.negate.jpeg_segments import SOI, SUPPORTED_FRAMES, Frame
from worker.transforms.negate.kernels import JpegDropped, JpegStatus
from worker.transforms.negate.mpf import Move
from worker.transforms.pictures import pixel_limit
from worker.transforms.pictures.mapped_file import MappedFile

_NOT_ZERO = re.compile(rb"[^\0]")
_EOI = b"\xff\xd9"
_BITS = 8
_GAIN_MAP = re.compile(rb"hdr-gain-map/1\.0/|iso:ts:21496|hdrgainmap|[\"'>]GainMap")
_GAIN_MAP_NOTE = "its gain map was negated as well"
_DROPPED = {
    JpegDropped.LEFT_OVER: "bytes after the last block of a scan were dropped",
    JpegDropped.SEGMENTS: "application segments between scans were dropped",
    JpegDropped.STRAY: previews.STRAY_NOTE,
}
_MAX_ATTEMPTS = 4  # to find room for lengths that have more digits than before


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a JPEG.

    Args:
        file: The JPEG.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Returns:
        Notes on what was dropped or blanked.

    Raises:
        InvalidInput: The JPEG is damaged, too large, or of a kind that is not supported.
    """  # noqa: DOC502  raised by what it calls
    frame = _supported_frame(file.data, pixels)
    with target.open("wb") as out:
        moves, notes = _write(file.data, out)
    _verify(file.data, MappedFile(target).data, moves, frame)
    return notes


def negated(file: MappedFile, pixels: int) -> tuple[bytes, list[str]]:
    """Return the negative of a JPEG and the notes; see `negate`."""
    frame = _supported_frame(file.data, pixels)
    out = io.BytesIO()
    moves, notes = _write(file.data, out)
    result = out.getvalue()
    _verify(file.data, memoryview(result), moves, frame)
    return result, notes


def _write(data: memoryview, out: BinaryIO) -> tuple[list[Move], list[str]]:
    """Write the negative; return where its pictures were and are, and notes."""
    head = previews.negate_head(data)
    segments = head.data
    for _ in range(_MAX_ATTEMPTS):
        moves, notes = _append_pictures(data, segments, head.scan, out)
        updated, its_notes = gcontainer.update(head.data, moves)
        if len(updated) == len(segments):
            break
        segments = updated
        out.seek(0)
        out.truncate()
    else:
        raise InvalidInput("the lengths in the JPEG's GContainer directory contradict it")
    if updated != segments:
        out.seek(0)
        out.write(updated)
    notes += its_notes + mpf.update(data, updated, moves, out)
    return moves, list(dict.fromkeys([*head.notes, *notes]))


def _supported_frame(data: memoryview, pixels: int) -> Frame:
    frame = jpeg_segments.read_frame(data)
    pixel_limit.check(frame.width * frame.height, pixels)
    _check_support(frame)
    return frame


def _check_support(frame: Frame) -> None:
    if frame.marker not in SUPPORTED_FRAMES:
        raise InvalidInput(f"{frame.kind} is not supported: convert it to baseline JPEG or to PNG")
    if frame.bits != _BITS:
        raise InvalidInput(
            f"{frame.kind} with {frame.bits} bits per channel is not supported: convert it to a"
            " 16-bit PNG or TIFF"
        )
    if not frame.height:
        raise InvalidInput("a JPEG whose height follows its first scan (DNL) is not supported")
    if not frame.width:
        raise InvalidInput("the JPEG has no width")
    if len(frame.components) not in (1, 3, 4):
        raise InvalidInput(f"JPEG with {len(frame.components)} channels is not supported")


def _append_pictures(
    data: memoryview, head: bytes, scan: int, out: BinaryIO
) -> tuple[list[Move], list[str]]:
    """Append the negatives of the picture and of those after it.

    Raises InvalidInput if the first one is damaged or not supported.

    Args:
        data: The source.
        head: The result's segments before the first scan.
        scan: Where that begins in the source.
        out: The result.

    Returns:
        Where the pictures were and are, and notes.
    """
    picture, notes = _append_negative(data, 0, head, scan, out)
    moves, at = [picture], picture.old_length
    depth_lengths = gcontainer.depth_lengths(head)
    while found := _NOT_ZERO.search(data, at):
        further = _append_further(data, at, found.start(), depth_lengths, out)
        if not further:
            return moves, [*notes, f"dropped {counted(len(data) - at, 'byte')} after the picture"]
        picture, its_notes = further
        moves.append(picture)
        notes += its_notes
        at = picture.old_start + picture.old_length
    out.write(data[at:])
    if len(moves) > 1 and _GAIN_MAP.search(head):
        notes.append(_GAIN_MAP_NOTE)
    return moves, notes


def _append_further(
    data: memoryview, zeros: int, at: int, depth_lengths: frozenset[int], out: BinaryIO
) -> tuple[Move, list[str]] | None:
    """Append zeros up to `at` and the negative of the JPEG there; None, and nothing, if none."""
    before = out.tell()
    if data[at : at + 2] != SOI:
        return None
    try:
        head = previews.negate_head(data[at:])
        out.write(data[zeros:at])
        for length in depth_lengths:
            if data[at + length - 2 : at + length] == _EOI:
                move = Move(at, length, out.tell(), length)
                out.write(data[at : at + length])
                return move, []
        move, notes = _append_negative(data, at, head.data, head.scan, out)
    except (InvalidInput, MemoryError):
        out.seek(before)
        out.truncate()
        return None
    return move, [*head.notes, *notes, *([_GAIN_MAP_NOTE] if _GAIN_MAP.search(head.data) else [])]


def _append_negative(
    data: memoryview, at: int, head: bytes, scan: int, out: BinaryIO
) -> tuple[Move, list[str]]:
    """Append the negative of the JPEG at `at`; InvalidInput if it is damaged or not supported."""
    start = out.tell()
    for standard_tables in (False, True):
        status, used, dropped = kernels.negate_jpeg(
            head, data[at + scan :], out, standard_tables=standard_tables
        )
        if status == JpegStatus.DONE:
            move = Move(at, scan + used, start, out.tell() - start)
            return move, [note for flag, note in _DROPPED.items() if dropped & flag]
        out.seek(start)
        out.truncate()
        if status == JpegStatus.TRUNCATED:
            raise InvalidInput("the JPEG is truncated")
        if status == JpegStatus.UNSUPPORTED:
            raise InvalidInput("the JPEG's scans or segments are of a kind that is not supported")
        if status != JpegStatus.NO_CODE:
            raise InvalidInput(f"the JPEG is damaged at or after byte {at + scan}")
    raise InvalidInput("the JPEG is damaged: a DC coefficient is out of range")


def _verify(data: memoryview, result: memoryview, moves: list[Move], first: Frame) -> None:
    """Check the sizes, channels and ends of the result's pictures; `first`: the source's frame."""
    for move in moves:
        before, after = data[move.old_start :], result[move.new_start :]
        frame = jpeg_segments.read_frame(before) if move.old_start else first
        same_frame = frame == jpeg_segments.read_frame(after)
        ends = [
            part[length - 2 : length] == _EOI
            for part, length in ((before, move.old_length), (after, move.new_length))
        ]
        if not same_frame or ends[0] != ends[1]:
            raise InvalidInput("the JPEG's negative would not have its size, channels or end")
