"""Negate the pictures inside an image's metadata, which would show the image as it was.

These are EXIF and maker-note thumbnails (JEITA CP-3451), JFIF and JFXX thumbnails, Photoshop's
image resources 1033 and 1036, base64 in XMP, and any other JPEG stream in a segment. A preview's
negative can be some bytes longer: it may grow where nothing that has a fixed place follows it, and
an EXIF thumbnail is moved to the end of its block. Negating twice gives the same bytes, or at least
the same previews. A preview that does not fit, is damaged, or is not supported by the kernels is
blanked with zeros. FlashPix segments and extended XMP with a picture, which span several segments,
are dropped, and so are content credentials (C2PA), whose signature the negative would break.
"""

import base64
import re
from typing import Literal, NamedTuple

from worker.errors import InvalidInput
from worker.transforms.negate import huffman_tables, jpeg_segments, kernels
from worker.transforms.negate.jpeg_segments import (
    APP0,
    APP1,
    APP2,
    APP11,
    APP13,
    COM,
    MAX_CONTENT,
    XMP,
    Segment,
)
from worker.transforms.negate.kernels import Buffer, JpegStatus
from worker.transforms.negate.pixels import COMPLEMENT

_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENDED_HEADER = len(_EXTENDED_XMP) + 40  # and GUID, length and offset of the whole
_HAS_EXTENDED_XMP = re.compile(rb"\s?xmpNote:HasExtendedXMP\s*=\s*[\"'][0-9A-Fa-f]*[\"']")
_EXIF, _PHOTOSHOP, _FLASHPIX = b"Exif\0\0", b"Photoshop 3.0\0", b"FPXR\0"
_JFXX_PALETTE, _JFXX_RGB = b"JFXX\0\x11", b"JFXX\0\x13"
_STRAY = re.compile(rb"[^\0\xff]")
_JPEG = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_LINE_BREAK = re.compile(rb"(?:\s|&#x[aAdD];|&#1[03];)+")
_BASE64 = rb"(?:[A-Za-z0-9+/=\s]|&#x[aAdD];|&#1[03];)+"
_BASE64_PICTURE = re.compile(rb"(?<![A-Za-z0-9+/])(?:/9j/|iVBORw0KGgo|R0lGODdh|R0lGODlh)" + _BASE64)
_PICTURE_IN_XMP = re.compile(rb"/9j/|iVBOR|GImage|GDepth")
_MAX_DEPTH = 2  # a preview's preview, and no further
# TIFF tags and types in EXIF (JEITA CP-3451, 4.6.4).
_COMPRESSION, _STRIP_OFFSETS, _STRIP_BYTES, _JPEG_OFFSET, _JPEG_BYTES = 259, 273, 279, 513, 514
_SHORT = 3
_TAG_XMP, _TAG_PHOTOSHOP, _TAG_ICC = 700, 34377, 34675
_THUMBNAIL_RESOURCES = (b"\x04\x09", b"\x04\x0c")
_RESOURCE_HEADER = 28  # bytes before a thumbnail resource's JPEG
# Boxes in APP11 (ISO/IEC 18477-3, annex B): JP, number of the box, of the segment, length, type.
# Those of JPEG XT refine the picture; JUMBF ones (ISO/IEC 19566-5) say what they hold.
_BOX_NUMBER, _BOX_TYPE = slice(2, 4), slice(12, 16)
_XT_BOXES = (b"SPEC", b"RESI", b"RFIN", b"FINE", b"ALFA", b"AFIN", b"ARES")
_C2PA, _C2PA_WITHIN = b"jumdc2pa", 64

STRAY_NOTE = "stray bytes between segments were dropped"
CREDENTIALS_NOTE = "content credentials (C2PA) were dropped: they vouch for the picture as it was"
_BLANKED = "a preview that is damaged, does not fit or is not supported was blanked"
_NOTES = {
    "FlashPix": "FlashPix segments were dropped",
    "extended XMP": "extended XMP with a picture was dropped",
    "C2PA": CREDENTIALS_NOTE,
}


class Negated(NamedTuple):
    """Metadata whose pictures are negated, and notes on those that were blanked or dropped."""

    data: bytes
    notes: tuple[str, ...] = ()


class Head(NamedTuple):
    """A JPEG's segments before its first scan.

    Attributes:
        data: The segments, with their pictures negated.
        scan: Where the first scan begins in the source.
        notes: What was blanked or dropped.
    """

    data: bytes
    scan: int
    notes: tuple[str, ...]


def negate_head(data: Buffer, depth: int = 0) -> Head:
    """Negate the pictures in a JPEG's segments before its first scan.

    Raises InvalidInput if the segments are damaged, or hold a part of the picture (JPEG XT).

    Args:
        data: The JPEG.
        depth: In how many pictures it is nested.

    Returns:
        The segments.
    """
    pieces, segments = [bytes(data[:2])], list(jpeg_segments.read(data))
    dropped, notes = _dropped(data, segments), list[str]()
    for number, (marker, start, content_start, end) in enumerate(segments[:-1]):
        if number in dropped:
            notes.append(_NOTES[dropped[number]])
            continue
        stray = bytes(data[start : content_start - 4])
        if _STRAY.search(stray):
            notes.append(STRAY_NOTE)
        else:
            pieces.append(stray)
        if marker & 0xF0 != APP0 and marker != COM:
            pieces.append(bytes(data[content_start - 4 : end]))
            continue
        content = bytes(data[content_start:end])
        new = _negate_application(marker, content, depth)
        if len(new.data) > MAX_CONTENT:  # without previews it has its old length
            new = _negate_application(marker, content, _MAX_DEPTH + 1)
        if marker == APP1 and "extended XMP" in dropped.values():
            new = Negated(_HAS_EXTENDED_XMP.sub(b"", new.data), new.notes)
        size = (len(new.data) + 2).to_bytes(2, "big")
        pieces += [bytes(data[content_start - 4 : content_start - 2]), size, new.data]
        notes += new.notes
    return Head(b"".join(pieces), segments[-1].start, tuple(dict.fromkeys(notes)))


def _dropped(data: Buffer, segments: list[Segment]) -> dict[int, str]:
    """Return the numbers of segments that are dropped, and what they are."""
    found, boxes, credentials, extended = dict[int, str](), dict[int, bytes](), set[bytes](), b""
    for number, (marker, _, start, end) in enumerate(segments):
        content = bytes(data[start:end]) if marker in (APP1, APP2, APP11) else b""
        if marker == APP2 and content.startswith(_FLASHPIX):
            found[number] = "FlashPix"
        elif marker == APP11 and content.startswith(b"JP"):
            if content[_BOX_TYPE] in _XT_BOXES:
                raise InvalidInput("JPEG XT is not supported: APP11 refines its picture")
            boxes[number] = content[_BOX_NUMBER]
            if _C2PA in content[:_C2PA_WITHIN]:
                credentials.add(boxes[number])
        elif marker == APP1 and content.startswith(_EXTENDED_XMP):
            extended += content[_EXTENDED_HEADER:]
    found |= {number: "C2PA" for number, box in boxes.items() if box in credentials}
    if _PICTURE_IN_XMP.search(extended):  # it may span several segments
        found |= {
            number: "extended XMP"
            for number, (marker, _, start, _) in enumerate(segments)
            if marker == APP1 and data[start : start + len(_EXTENDED_XMP)] == _EXTENDED_XMP
        }
    return found


def _negate_application(marker: int, content: bytes, depth: int) -> Negated:
    known = (
        (_EXIF, APP1, negate_exif),
        (XMP, APP1, negate_xmp),
        (_PHOTOSHOP, APP13, negate_photoshop),
    )
    for signature, its_marker, negate in known:
        if marker == its_marker and content.startswith(signature):
            new = negate(content[len(signature) :], depth)
            return Negated(signature + new.data, new.notes)
    if marker == APP0 and content.startswith(b"JFIF\0"):
        return Negated(content[:14] + content[14:].translate(COMPLEMENT))
    if marker == APP0 and content.startswith((_JFXX_PALETTE, _JFXX_RGB)):
        # Of a thumbnail with a palette only that is negated.
        end = 8 + 768 if content.startswith(_JFXX_PALETTE) else len(content)
        return Negated(content[:8] + content[8:end].translate(COMPLEMENT) + content[end:])
    if marker == APP2 and content.startswith((b"ICC_PROFILE\0", b"MPF\0")):
        return Negated(content)
    return negate_streams(content, depth, may_grow=True)


def _negate_stream(data: Buffer, depth: int = 0) -> tuple[Negated, int] | None:
    """Return the negative of the JPEG that data begins with, and its length; None if impossible."""
    if depth > _MAX_DEPTH or data[:2] != jpeg_segments.SOI:
        return None
    try:
        head = negate_head(data, depth + 1)
    except InvalidInput:
        return None
    for standard_tables in (False, True):
        status, result, used = kernels.negated_jpeg(
            head.data, data[head.scan :], standard_tables=standard_tables
        )
        if status == JpegStatus.DONE:
            return Negated(result, head.notes), head.scan + used
    return None


def holds_jpeg(content: bytes) -> bool:
    """Return whether bytes contain a JPEG stream, plain or as base64."""
    return bool(_JPEG.search(content) or _BASE64_PICTURE.search(content))


def negate_streams(
    data: bytes, depth: int = 0, skip: tuple[int, int] = (0, 0), *, may_grow: bool = False
) -> Negated:
    """Negate JPEG streams in place; blank those that do not fit or cannot be negated.

    Args:
        data: Any bytes.
        depth: In how many pictures they are nested.
        skip: Where the first stream that is left alone begins and ends.
        may_grow: Whether the result may be longer, if a stream is the end of data.

    Returns:
        As many bytes, or more.
    """
    result, at, notes = bytearray(data), 0, list[str]()
    while match := _JPEG.search(result, at):
        start = match.start()
        if skip[0] <= start < skip[1]:
            at = skip[1]
            continue
        end = skip[0] if start < skip[0] else len(result)
        new, used = _negate_stream(result[start:end], depth) or (Negated(b""), end - start)
        notes += new.notes
        if may_grow and start + used == len(result) and new.data:
            result[start:] = new.data
            break
        length = _replace(result, start, used, new.data, end)
        notes += [] if length else [_BLANKED]
        at = start + (length or used)
    return Negated(bytes(result), tuple(notes))


def _replace(data: bytearray, start: int, used: int, new: bytes, end: int) -> int:
    """Replace `used` bytes and zeros after them by new; return its length, or 0 if blanked."""
    available = used
    while available < len(new) and start + available < end and not data[start + available]:
        available += 1
    if len(new) > available:
        new = huffman_tables.shortened(new, available) if new else b""
    data[start : start + max(used, len(new))] = new.ljust(used, b"\0")
    return len(new)


def negate_exif(tiff: bytes, depth: int = 0) -> Negated:
    """Negate the thumbnail and other previews of an EXIF block.

    Args:
        tiff: The block from its TIFF header on.
        depth: In how many pictures it is nested.

    Returns:
        The block; its size can differ.
    """
    orders: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
    order = orders.get(tiff[:4])
    if order is None:
        return negate_streams(tiff, depth)

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    ifd0 = number(4, 4)
    ifd1 = number(ifd0 + 2 + 12 * number(ifd0, 2), 4)  # the thumbnail's
    fields = {
        number(at, 2): (at + 8, number(at + 8, 2 if number(at + 2, 2) == _SHORT else 4))
        for at in range(ifd1 + 2, min(ifd1 + 2 + 12 * number(ifd1, 2), len(tiff)), 12)
        if ifd1
    }
    missing = (0, 0)
    start_at, start = fields.get(_JPEG_OFFSET, missing)
    length_at, length = fields.get(_JPEG_BYTES, missing)
    if length and tiff[start : start + 2] == jpeg_segments.SOI:
        thumbnail = _Thumbnail(start, min(start + length, len(tiff)), start_at, length_at)
        return _negate_thumbnail(tiff, thumbnail, order, depth)
    start, length = fields.get(_STRIP_OFFSETS, missing)[1], fields.get(_STRIP_BYTES, missing)[1]
    if start and length and fields.get(_COMPRESSION, missing)[1] == 1:  # one strip, uncompressed
        colors = tiff[start : start + length].translate(COMPLEMENT)
        tiff = tiff[:start] + colors + tiff[start + length :]
    return negate_streams(tiff, depth)


class _Thumbnail(NamedTuple):
    """Where an EXIF thumbnail begins and ends, and where its offset and length are stored."""

    start: int
    end: int
    start_at: int
    length_at: int


def _negate_thumbnail(
    tiff: bytes, place: _Thumbnail, order: Literal["little", "big"], depth: int
) -> Negated:
    start, end = place.start, place.end
    others = negate_streams(tiff, depth, (start, end))
    result, notes = bytearray(others.data), list(others.notes)
    found = _negate_stream(result[start:end], depth) or _negate_stream(result[start:], depth)
    if not found:
        result[start:end] = bytes(end - start)
        return Negated(bytes(result), (*notes, _BLANKED))
    (new, its_notes), used = found
    end = max(end, start + used)
    padding = end - start - used
    if any(result[start + used : end]):  # within its length, but no part of it
        result[start + used : end] = bytes(padding)
        notes.append("bytes after a preview were blanked")
    length = max(len(new), end - start) if padding else len(new)
    if start + used == len(result):  # it may grow or shrink
        result[start:] = new
    elif not _replace(result, start, used, new, len(result)):
        result += bytes(len(result) % 2)
        result[place.start_at : place.start_at + 4] = len(result).to_bytes(4, order)
        result += new
        length = len(new)
    result[place.length_at : place.length_at + 4] = length.to_bytes(4, order)
    return Negated(bytes(result), (*notes, *its_notes))


def negate_tag(tag: int, value: bytes) -> Negated:
    """Negate the pictures in the bytes of a TIFF tag."""
    if tag == _TAG_ICC:  # a color profile holds no picture
        return Negated(value)
    if tag == _TAG_XMP:
        return negate_xmp(value)
    return negate_photoshop(value) if tag == _TAG_PHOTOSHOP else negate_streams(value)


def negate_xmp(packet: bytes, depth: int = 0) -> Negated:
    """Negate the base64 JPEGs of an XMP packet; remove pictures that cannot be negated."""
    notes = list[str]()

    def negated(match: re.Match[bytes]) -> bytes:
        lines = _LINE_BREAK.split(match[0])
        try:
            found = _negate_stream(base64.b64decode(b"".join(lines)), depth)
        except ValueError:
            found = None
        if not found:
            notes.append(_BLANKED)
            return b""
        notes.extend(found[0].notes)
        text, width = base64.b64encode(found[0].data), len(lines[0])
        separator = _LINE_BREAK.search(match[0])
        between = separator[0] if separator else b""
        return between.join(text[i : i + width] for i in range(0, len(text), width))

    return Negated(_BASE64_PICTURE.sub(negated, packet), tuple(notes))


def negate_photoshop(resources: bytes, depth: int = 0) -> Negated:
    """Negate the thumbnails of Photoshop's image resources (1033, 1036)."""
    pieces, notes, at = list[bytes](), list[str](), 0
    while resources[at : at + 4] == b"8BIM":
        data = at + 6 + (resources[at + 6] // 2 + 1) * 2 + 4 if at + 6 < len(resources) else at + 12
        size = int.from_bytes(resources[data - 4 : data], "big")
        end = data + size
        if end > len(resources):
            break
        content = resources[data:end]
        if resources[at + 4 : at + 6] in _THUMBNAIL_RESOURCES:
            found = _negate_stream(content[_RESOURCE_HEADER:], depth)
            new = found[0] if found else Negated(b"", (_BLANKED,))
            size_field = len(new.data).to_bytes(4, "big")
            content = content[:20] + size_field + content[24:_RESOURCE_HEADER] + new.data
        else:
            new = negate_streams(content, depth)
            content = new.data
        notes += new.notes
        pieces.append(resources[at : data - 4] + len(content).to_bytes(4, "big"))
        pieces.append(content + bytes(len(content) % 2))
        at = end + size % 2
    rest = negate_streams(resources[at:], depth)
    return Negated(b"".join(pieces) + rest.data, (*notes, *rest.notes))
