"""Negate the pictures inside an image's metadata, which would show the image as it was.

These are EXIF and maker-note thumbnails (JEITA CP-3451), JFIF and JFXX thumbnails, Photoshop's
image resources 1033 and 1036, base64 in XMP, and any other JPEG stream in a segment. Where the
negative fits (its size can differ by some bytes), negating twice gives the same bytes; a preview
that does not fit, is damaged, or is not supported by the kernels is blanked with zeros. FlashPix
segments and extended XMP with a picture, which span several segments, are dropped, as are a PNG's
compressed XMP with a picture and a TIFF's Photoshop layers.
"""

import base64
import re
from typing import Literal

from worker.errors import InvalidInput
from worker.transforms.negate import jpeg_segments, kernels
from worker.transforms.negate.jpeg_segments import (
    APP0,
    APP1,
    APP2,
    APP13,
    COM,
    MAX_CONTENT,
    Segment,
)
from worker.transforms.negate.kernels import Buffer, JpegStatus
from worker.transforms.negate.pixels import COMPLEMENT

#: The signature of an APP1 segment with XMP (XMP specification, part 3, 1.1.3).
XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_EXIF, _PHOTOSHOP = b"Exif\0\0", b"Photoshop 3.0\0"
_JPEG = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_LINE_BREAK = re.compile(rb"(?:\s|&#x[aAdD];|&#1[03];)+")
_BASE64_JPEG = re.compile(rb"/9j/(?:[A-Za-z0-9+/=\s]|&#x[aAdD];|&#1[03];)+")
_PICTURE_IN_XMP = re.compile(rb"/9j/|iVBOR|GImage|GDepth")
_MAX_DEPTH = 2  # a preview's preview, and no further
# TIFF tags and types in EXIF (JEITA CP-3451, 4.6.4).
_COMPRESSION, _STRIP_OFFSETS, _STRIP_BYTES, _JPEG_OFFSET, _JPEG_BYTES = 259, 273, 279, 513, 514
_SHORT = 3
_TAG_XMP, _TAG_PHOTOSHOP, _TAG_ICC = 700, 34377, 34675
_THUMBNAIL_RESOURCES = (b"\x04\x09", b"\x04\x0c")
_RESOURCE_HEADER = 28  # bytes before a thumbnail resource's JPEG


def negate_head(data: Buffer, depth: int = 0) -> tuple[bytes, int]:
    """Negate the pictures in a JPEG's segments before its first scan.

    Raises InvalidInput if the segments are damaged.

    Args:
        data: The JPEG.
        depth: In how many pictures it is nested.

    Returns:
        The segments, and where the first scan begins in data.
    """
    pieces, segments = [bytes(data[:2])], list(jpeg_segments.read(data))
    drop_extended = _has_picture_in_extended_xmp(data, segments)
    for marker, start, content_start, end in segments[:-1]:
        content = bytes(data[content_start:end])
        if marker & 0xF0 != APP0 and marker != COM:
            pieces.append(bytes(data[start:end]))
        elif not (
            (marker == APP2 and content.startswith(b"FPXR\0"))
            or (drop_extended and content.startswith(_EXTENDED_XMP))
        ):
            new = _negate_application(marker, content, depth)
            if len(new) > MAX_CONTENT:
                new = bytes(len(content))
            size = (len(new) + 2).to_bytes(2, "big")
            pieces.append(bytes(data[start : content_start - 2]) + size + new)
    return b"".join(pieces), segments[-1].start


def _has_picture_in_extended_xmp(data: Buffer, segments: list[Segment]) -> bool:
    """Return whether extended XMP has a picture, which may span several segments."""
    extended = b"".join(
        bytes(data[content:end])
        for marker, _, content, end in segments
        if marker == APP1 and data[content : content + len(_EXTENDED_XMP)] == _EXTENDED_XMP
    )
    return _PICTURE_IN_XMP.search(extended) is not None


def _negate_application(marker: int, content: bytes, depth: int) -> bytes:
    known = (
        (_EXIF, APP1, negate_exif),
        (XMP, APP1, negate_xmp),
        (_PHOTOSHOP, APP13, negate_photoshop),
    )
    for signature, its_marker, negate in known:
        if marker == its_marker and content.startswith(signature):
            return signature + negate(content[len(signature) :], depth)
    if marker == APP0 and content.startswith(b"JFIF\0"):
        return content[:14] + content[14:].translate(COMPLEMENT)
    if marker == APP0 and content.startswith((b"JFXX\0\x11", b"JFXX\0\x13")):
        # A thumbnail with a palette, of which only that is negated, or one of RGB.
        end = 8 + 768 if content[5] == 0x11 else len(content)  # noqa: PLR2004
        return content[:8] + content[8:end].translate(COMPLEMENT) + content[end:]
    if marker == APP2 and content.startswith((b"ICC_PROFILE\0", b"MPF\0")):
        return content
    return negate_streams(content, depth)


def _negate_stream(data: Buffer, depth: int = 0) -> tuple[bytes, int] | None:
    """Return the negative of the JPEG that data begins with, and its length; None if impossible."""
    if depth > _MAX_DEPTH or kernels.library is None:
        return None
    try:
        head, scan = negate_head(data, depth + 1)
    except InvalidInput:
        return None
    for standard_tables in (False, True):
        status, result, used = kernels.negated_jpeg(
            head, data[scan:], standard_tables=standard_tables
        )
        if status == JpegStatus.DONE:
            return result, scan + used
    return None


def holds_jpeg(content: bytes) -> bool:
    """Return whether bytes contain a JPEG stream, plain or as base64."""
    return bool(_JPEG.search(content) or _BASE64_JPEG.search(content))


def negate_streams(data: bytes, depth: int = 0, skip: tuple[int, int] = (0, 0)) -> bytes:
    """Negate JPEG streams in place; blank those that do not fit or cannot be negated.

    Args:
        data: Any bytes.
        depth: In how many pictures they are nested.
        skip: Where the first stream that is left alone begins and ends.

    Returns:
        As many bytes.
    """
    result, at = bytearray(data), 0
    while match := _JPEG.search(result, at):
        start = match.start()
        if skip[0] <= start < skip[1]:
            at = skip[1]
            continue
        end = skip[0] if start < skip[0] else len(result)
        found = _negate_stream(result[start:end], depth)
        new, used = found or (b"", end - start)
        at = start + _replace(result, start, used, new, end)
    return bytes(result)


def _replace(data: bytearray, start: int, used: int, new: bytes, end: int) -> int:
    """Replace `used` bytes and zeros after them by new, or blank them; return the new length."""
    available = used
    while available < len(new) and start + available < end and not data[start + available]:
        available += 1
    if len(new) > available:
        new = b""
    data[start : start + max(used, len(new))] = new.ljust(used, b"\0")
    return len(new) or used


def negate_exif(tiff: bytes, depth: int = 0) -> bytes:
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
    (_, start), (length_at, length) = (
        fields.get(_JPEG_OFFSET, missing),
        fields.get(_JPEG_BYTES, missing),
    )
    if 0 < start < len(tiff) and length:
        return _negate_thumbnail(tiff, (start, length, length_at), order, depth)
    start, length = fields.get(_STRIP_OFFSETS, missing)[1], fields.get(_STRIP_BYTES, missing)[1]
    if start and length and fields.get(_COMPRESSION, missing)[1] == 1:  # one strip, uncompressed
        colors = tiff[start : start + length].translate(COMPLEMENT)
        tiff = tiff[:start] + colors + tiff[start + length :]
    return negate_streams(tiff, depth)


def _negate_thumbnail(
    tiff: bytes, place: tuple[int, int, int], order: Literal["little", "big"], depth: int
) -> bytes:
    """Negate an EXIF thumbnail.

    Args:
        tiff: The EXIF block.
        place: The thumbnail's first byte and length, and where that length is stored.
        order: The block's byte order.
        depth: In how many pictures it is nested.

    Returns:
        The block.
    """
    start, length, length_at = place
    end = min(start + length, len(tiff))
    result = bytearray(negate_streams(tiff, depth, (start, end)))
    new, used = _negate_stream(result[start:end], depth) or (b"", end - start)
    if new and not any(result[start + used :]):  # nothing after it: it may grow or shrink
        result[start : start + used] = new
    else:
        result[start + used : end] = bytes(end - start - used)
        _replace(result, start, used, new, len(result))
    if new:
        result[length_at : length_at + 4] = (length + len(new) - used).to_bytes(4, order)
    return bytes(result)


def negate_tag(tag: int, value: bytes) -> bytes:
    """Negate the pictures in the bytes of a TIFF tag."""
    if tag == _TAG_ICC:  # a color profile holds no picture
        return value
    if tag == _TAG_XMP:
        return negate_xmp(value)
    return negate_photoshop(value) if tag == _TAG_PHOTOSHOP else negate_streams(value)


def negate_xmp(packet: bytes, depth: int = 0) -> bytes:
    """Negate the base64 JPEGs of an XMP packet; remove those that cannot be negated."""

    def negated(match: re.Match[bytes]) -> bytes:
        lines = _LINE_BREAK.split(match[0])
        try:
            found = _negate_stream(base64.b64decode(b"".join(lines)), depth)
        except ValueError:
            return b""
        if not found:
            return b""
        text, width = base64.b64encode(found[0]), len(lines[0])
        separator = _LINE_BREAK.search(match[0])
        between = separator[0] if separator else b""
        return between.join(text[i : i + width] for i in range(0, len(text), width))

    return _BASE64_JPEG.sub(negated, packet)


def negate_photoshop(resources: bytes, depth: int = 0) -> bytes:
    """Negate the thumbnails of Photoshop's image resources (1033, 1036)."""
    pieces, at = [], 0
    while resources[at : at + 4] == b"8BIM":
        data = at + 6 + (resources[at + 6] // 2 + 1) * 2 + 4 if at + 6 < len(resources) else at + 12
        size = int.from_bytes(resources[data - 4 : data], "big")
        end = data + size
        if end > len(resources):
            break
        content = resources[data:end]
        if resources[at + 4 : at + 6] in _THUMBNAIL_RESOURCES:
            found = _negate_stream(content[_RESOURCE_HEADER:], depth)
            new = found[0] if found else b""
            size_field = len(new).to_bytes(4, "big")
            content = content[:20] + size_field + content[24:_RESOURCE_HEADER] + new
        else:
            content = negate_streams(content, depth)
        pieces.append(resources[at : data - 4] + len(content).to_bytes(4, "big"))
        pieces.append(content + bytes(len(content) % 2))
        at = end + size % 2
    return b"".join(pieces) + negate_streams(resources[at:], depth)
