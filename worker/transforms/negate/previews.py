"""Pictures inside an image's metadata, negated too: nothing un-negated may leave by a side door.

EXIF and maker-note thumbnails (JEITA CP-3451), JFIF and JFXX thumbnails, Photoshop's image
resources 1033 and 1036, base64 in XMP, and any other JPEG stream in a segment. Where the negative
fits (it can differ by some bytes), negating twice gives the same bytes; a preview that does not
fit, is damaged, or cannot be negated in its entropy-coded data is blanked with zeros. FlashPix
segments and extended XMP with a picture, which are spread over several segments, are dropped, as
are a PNG's compressed XMP with one and a TIFF's Photoshop layers.
"""

import base64
import re
from collections.abc import Iterator
from typing import Literal

from worker.errors import InvalidInput
from worker.transforms.negate import kernels

Buffer = bytes | bytearray | memoryview

COMPLEMENT = bytes(range(255, -1, -1))
_EXIF, _PHOTOSHOP = b"Exif\0\0", b"Photoshop 3.0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_STREAM = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_BREAK = re.compile(rb"(?:\s|&#x[aAdD];|&#1[03];)+")
_BASE64 = re.compile(rb"/9j/(?:[A-Za-z0-9+/=\s]|&#x[aAdD];|&#1[03];)+")
_LONGEST = 65533  # of a segment (T.81, B.1.1.4)
_DEEPEST = 2  # a preview's preview, and no further
_APP0, _APP1, _APP2, _APP13, _SCAN = 0xE0, 0xE1, 0xE2, 0xED, 0xDA


def segments(data: Buffer) -> Iterator[tuple[int, int, int, int]]:
    """(marker, first byte, first of its content, end) up to and with the first scan's header."""
    at = 2
    while True:
        start = at
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if len(data) < at + 4:
            raise InvalidInput("the JPEG ends too early")
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF or marker < 0xC0 or 0xD0 <= marker <= 0xD9 or length < 2:  # noqa: PLR2004
            raise InvalidInput(f"the JPEG is damaged at byte {at}")
        content, at = at + 4, at + 2 + length
        if at > len(data):
            raise InvalidInput("the JPEG ends too early")
        yield marker, start, content, at
        if marker == _SCAN:
            return


def head(data: Buffer, depth: int = 0) -> tuple[bytes, int]:
    """A JPEG's segments before the first scan, pictures in them negated; where the scan begins."""
    pieces, at = [bytes(data[:2])], 2
    found = list(segments(data))
    extended = b"".join(
        bytes(data[content:end])
        for marker, _, content, end in found
        if marker == _APP1 and data[content : content + len(_MORE_XMP)] == _MORE_XMP
    )
    drop_extended = re.search(rb"/9j/|iVBOR|GImage|GDepth", extended) is not None
    for marker, start, content, at in found:
        if marker == _SCAN:
            return b"".join(pieces), start
        old = bytes(data[content:at])
        if marker & 0xF0 != _APP0 and marker != 0xFE:  # noqa: PLR2004  COM
            pieces.append(bytes(data[start:at]))
        elif not (
            (marker == _APP2 and old.startswith(b"FPXR\0"))
            or (drop_extended and old.startswith(_MORE_XMP))
        ):
            new = _application(marker, old, depth)
            if len(new) > _LONGEST:
                new = bytes(len(old))
            size = (len(new) + 2).to_bytes(2, "big")
            pieces.append(bytes(data[start : content - 2]) + size + new)
    raise AssertionError(at)


def _application(marker: int, content: bytes, depth: int) -> bytes:
    known = ((_EXIF, _APP1, exif), (XMP, _APP1, xmp), (_PHOTOSHOP, _APP13, photoshop))
    for signature, its_marker, negate in known:
        if marker == its_marker and content.startswith(signature):
            return signature + negate(content[len(signature) :], depth)
    if marker == _APP0 and content.startswith(b"JFIF\0"):
        return content[:14] + content[14:].translate(COMPLEMENT)
    if marker == _APP0 and content.startswith((b"JFXX\0\x11", b"JFXX\0\x13")):
        colours = 8 + 768 if content[5] == 0x11 else len(content)  # noqa: PLR2004  a palette
        return content[:8] + content[8:colours].translate(COMPLEMENT) + content[colours:]
    if marker == _APP2 and content.startswith((b"ICC_PROFILE\0", b"MPF\0")):
        return content
    return scrub(content, depth)


def embedded(data: Buffer, depth: int = 0) -> tuple[bytes, int] | None:
    """The negative of the JPEG that data begins with, and its length; None where there is none."""
    if depth > _DEEPEST or kernels.library is None:
        return None
    try:
        start, at = head(data, depth + 1)
    except InvalidInput:
        return None
    for anew in (False, True):
        answer, result, used = kernels.jpeg_bytes(start, data[at:], anew=anew)
        if answer == kernels.DONE:
            return result, at + used
    return None


def holds_jpeg(content: bytes) -> bool:
    """Whether a JPEG stream lies in the bytes, plain or as base64."""
    return bool(_STREAM.search(content) or _BASE64.search(content))


def scrub(data: bytes, depth: int = 0, skip: tuple[int, int] = (0, 0)) -> bytes:
    """Negate JPEG streams in place, outside `skip`; blank those that do not fit."""
    result, at = bytearray(data), 0
    while match := _STREAM.search(result, at):
        start = match.start()
        if skip[0] <= start < skip[1]:
            at = skip[1]
            continue
        end = skip[0] if start < skip[0] else len(result)
        found = embedded(result[start:end], depth)
        new, used = found or (b"", end - start)
        at = start + _put(result, start, used, new, end)
    return bytes(result)


def _put(data: bytearray, start: int, used: int, new: bytes, end: int) -> int:
    """Put new in place of `used` bytes and zeros behind them, or blank; return its length."""
    room = used
    while room < len(new) and start + room < end and not data[start + room]:
        room += 1
    if len(new) > room:
        new = b""
    data[start : start + max(used, len(new))] = new.ljust(used, b"\0")
    return len(new) or used


def exif(tiff: bytes, depth: int = 0) -> bytes:
    """An EXIF block, TIFF header first, with its thumbnail and other previews negated."""
    orders: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
    order = orders.get(tiff[:4])
    if order is None:
        return scrub(tiff, depth)

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    first = number(4, 4)
    second = number(first + 2 + 12 * number(first, 2), 4)  # IFD1 is the thumbnail's
    fields = {
        number(at, 2): (at + 8, number(at + 8, 2 if number(at + 2, 2) == 3 else 4))  # noqa: PLR2004
        for at in range(second + 2, min(second + 2 + 12 * number(second, 2), len(tiff)), 12)
        if second
    }
    (_, start), (length_at, length) = fields.get(0x201, (0, 0)), fields.get(0x202, (0, 0))
    if 0 < start < len(tiff) and length:
        end = min(start + length, len(tiff))
        result = bytearray(scrub(tiff, depth, (start, end)))
        new, used = embedded(result[start:end], depth) or (b"", end - start)
        if new and not any(result[start + used :]):  # nothing behind it: it may grow or shrink
            result[start : start + used] = new
        else:
            result[start + used : end] = bytes(end - start - used)
            _put(result, start, used, new, len(result))
        if new:
            result[length_at : length_at + 4] = (length + len(new) - used).to_bytes(4, order)
        return bytes(result)
    (_, start), (_, length) = fields.get(0x111, (0, 0)), fields.get(0x117, (0, 0))
    if start and length and fields.get(0x103, (0, 0))[1] == 1:  # one strip, not compressed
        colours = tiff[start : start + length].translate(COMPLEMENT)
        tiff = tiff[:start] + colours + tiff[start + length :]
    return scrub(tiff, depth)


def tag(number: int, value: bytes) -> bytes:
    """A TIFF field's bytes."""
    if number == 34675:  # noqa: PLR2004  a colour profile holds no picture
        return value
    return {700: xmp, 34377: photoshop}.get(number, scrub)(value)


def xmp(packet: bytes, depth: int = 0) -> bytes:
    """An XMP packet with its base64 JPEGs negated, or removed where that is impossible."""

    def negated(match: re.Match[bytes]) -> bytes:
        lines = _BREAK.split(match[0])
        try:
            found = embedded(base64.b64decode(b"".join(lines)), depth)
        except ValueError:
            return b""
        if not found:
            return b""
        text, width = base64.b64encode(found[0]), len(lines[0])
        separator = _BREAK.search(match[0])
        between = separator[0] if separator else b""
        return between.join(text[i : i + width] for i in range(0, len(text), width))

    return _BASE64.sub(negated, packet)


def photoshop(resources: bytes, depth: int = 0) -> bytes:
    """Image resources with thumbnails (1033, 1036; a header of 28 bytes, then a JPEG) negated."""
    pieces, at = [], 0
    while resources[at : at + 4] == b"8BIM":
        data = at + 6 + (resources[at + 6] // 2 + 1) * 2 + 4 if at + 6 < len(resources) else at + 12
        size = int.from_bytes(resources[data - 4 : data], "big")
        end = data + size
        if end > len(resources):
            break
        kind, content = resources[at + 4 : at + 6], resources[data:end]
        if kind in (b"\x04\x09", b"\x04\x0c"):
            found = embedded(content[28:], depth)
            new = found[0] if found else b""
            content = content[:20] + len(new).to_bytes(4, "big") + content[24:28] + new
        else:
            content = scrub(content, depth)
        pieces.append(resources[at : data - 4] + len(content).to_bytes(4, "big"))
        pieces.append(content + bytes(len(content) % 2))
        at = end + size % 2
    return b"".join(pieces) + scrub(resources[at:], depth)
