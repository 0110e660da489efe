"""Negate a PNG or APNG (W3C PNG, third edition) in its filtered rows, or its palette.

Alpha stays; a transparent colour (tRNS) is complemented as the samples are. Chunks keep their order
and content, EXIF and XMP with their previews negated; those we do not know and that are unsafe to
copy (14.2) are dropped, as the specification asks, and with them editors' layers and previews, and
what follows IEND. Negating twice gives the same pixels; of a palette image the same bytes.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from worker.errors import InvalidInput
from worker.transforms.negate import kernels, previews
from worker.transforms.negate.mapped_file import MappedFile
from worker.transforms.negate.scanlines import Layout, NeedsDecodedError, Picture, crc32

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD, _NUMBER, _FRAME = struct.Struct(">I4s"), struct.Struct(">I"), struct.Struct(">4I")
_MOST_CHUNKS = 150_000
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE = 3
# Unsafe to copy, if one does not know them; we do.
_KNOWN = {b"cHRM", b"cICP", b"cLLI", b"gAMA", b"iCCP", b"mDCV", b"sBIT", b"sRGB", b"bKGD", b"hIST"}
_KNOWN |= {b"tIME", b"acTL", b"oFFs", b"pCAL", b"sCAL", b"sTER", b"tRNS", b"gIFg", b"gIFx", b"vpAg"}
_KEPT_BY_PILLOW = {b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB", b"iCCP", b"pHYs", b"tEXt", b"eXIf"}
_XMP = b"XML:com.adobe.xmp\0"
_PROFILE = re.compile(rb"Raw profile type (?!icc)", re.IGNORECASE)
_MOST_TEXT = 1 << 24


def negate(source: Path, target: Path, pixels: int) -> bool:
    """Write the negative of source to target; False: for another way (kernels not built).

    InvalidInput where it is damaged, ends too early, or has more than so many pixels.
    """
    file = MappedFile(source)
    for decoding in (False, True):
        try:
            with target.open("wb") as out:
                return _Negation(out, pixels, decoding=decoding).run(file)
        except NeedsDecodedError:
            continue
    raise AssertionError


def lost_by_pillow(data: memoryview) -> str | None:
    """What Pillow would round, blank or drop of a picture without palette; None: nothing."""
    for kind, at, end in _chunks(data):
        content = bytes(data[at:end]) if kind not in (b"IDAT", b"fdAT") else b""
        if kind == b"IHDR":
            if content[8] in (2, 4):
                return "a depth of 2 or 4 bits"
            if content[8] == 16:  # noqa: PLR2004
                return "a depth of 16 bits"
        elif kind not in _KEPT_BY_PILLOW:
            return f"a chunk of type {kind.decode('latin-1')}"
        elif kind == b"pHYs" and content[8:] != b"\1":
            return "a pixel's aspect ratio"
        elif previews.holds_jpeg(content) or _is_profile(kind, content):
            return "a preview"
    return None


def _chunks(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte of its content, end of it) of each chunk, CRC checked, to IEND."""
    at = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if len(data) < at + 12:
            break
        length, kind = _HEAD.unpack_from(data, at)
        end = at + 8 + length
        if len(data) < end + 4:
            break
        if crc32(data[at + 4 : end]) != _NUMBER.unpack_from(data, end)[0]:
            raise InvalidInput(f"the PNG is damaged between bytes {at} and {end + 4}")
        yield kind, at + 8, end
        if kind == b"IEND":
            return
        at = end + 4
    else:
        raise InvalidInput(f"the PNG has more than {_MOST_CHUNKS} chunks")
    raise InvalidInput("the PNG ends too early")


class _Negation:
    """One pass over a file's chunks."""

    def __init__(self, out: BinaryIO, pixels: int, *, decoding: bool) -> None:
        self._out, self._left, self._most, self._decoding = out, pixels, pixels, decoding
        self._palette, self._kind, self._depth = False, 0, 0
        self._size, self._frame = (0, 0), (0, 0)
        self._layout: Layout | None = None
        self._picture: Picture | None = None
        self._number = 0  # of the next fcTL or fdAT (APNG's sequence_number)
        self._seen: set[bytes] = set()

    def run(self, file: MappedFile) -> bool:
        data, copied = file.data, (0, 0)
        if data[: len(SIGNATURE)] != SIGNATURE:
            raise InvalidInput("the PNG's signature is damaged")
        self._out.write(SIGNATURE)
        last = b""
        for kind, at, end in _chunks(data):
            as_it_is = self._palette and kind in (b"IDAT", b"fdAT")
            if as_it_is and copied[1] == at - 8:
                copied = (copied[0], end + 4)
                continue
            file.copy(*copied, self._out)
            copied = (at - 8, end + 4) if as_it_is else (0, 0)
            self._check_order(kind, last)
            if self._picture and kind != last:
                self._end_picture(last)
            last = kind
            self._seen.add(kind)
            if kind == b"IHDR":
                self._header(bytes(data[at:end]))
                if not self._palette and kernels.library is None:
                    return False
            if kind == b"IDAT" and not as_it_is:
                self._image_data(kind, data[at:end])
            elif kind == b"fdAT" and not as_it_is:
                self._image_data(kind, data[at + 4 : end])
            elif not as_it_is:
                self._other(kind, bytes(data[at:end]))
        if b"IDAT" not in self._seen or (self._palette and b"PLTE" not in self._seen):
            raise InvalidInput("the PNG has no image data or no palette")
        return True

    def _check_order(self, kind: bytes, last: bytes) -> None:
        if (kind == b"IHDR") == bool(self._seen):
            raise InvalidInput("the PNG does not begin with one header")
        if kind == b"IDAT" and last != kind and kind in self._seen:
            raise InvalidInput("the PNG's image data are not in one place")

    def _header(self, content: bytes) -> None:
        if len(content) != 13:  # noqa: PLR2004
            raise InvalidInput("the PNG's header has the wrong length")
        width, height = _NUMBER.unpack(content[:4])[0], _NUMBER.unpack(content[4:8])[0]
        depth, kind, compression, filtering, interlace = content[8:]
        if depth not in _DEPTHS.get(kind, ()) or compression or filtering or interlace > 1:
            raise InvalidInput("the PNG's header names a kind of picture there is not")
        self._size = self._frame = self._checked(width, height)
        self._palette, self._kind, self._depth = kind == _PALETTE, kind, depth
        bits = _CHANNELS[kind] * depth
        alpha = depth // 8 if kind in (4, 6) else 0
        self._layout = Layout(bits, max(1, bits // 8) - alpha, bool(interlace))

    def _checked(self, width: int, height: int) -> tuple[int, int]:
        if not (0 < width < 1 << 31 and 0 < height < 1 << 31):
            raise InvalidInput("the PNG has no width or no height")
        self._left -= width * height
        if self._left < 0:
            raise InvalidInput(f"it has more than {self._most} pixels")
        return width, height

    def _image_data(self, kind: bytes, content: memoryview) -> None:
        if not self._picture:
            assert self._layout  # noqa: S101
            size = self._size if kind == b"IDAT" else self._frame
            self._picture = Picture(self._layout, *size, decoding=self._decoding)
        for piece in self._picture.feed(content):
            if piece:
                self._write(kind, piece)

    def _end_picture(self, kind: bytes) -> None:
        assert self._picture  # noqa: S101
        self._write(kind, self._picture.finish())
        self._picture = None

    def _other(self, kind: bytes, content: bytes) -> None:
        if kind == b"fcTL":
            if len(content) != 26:  # noqa: PLR2004
                raise InvalidInput("the PNG has a frame control chunk of the wrong length")
            width, height, x, y = _FRAME.unpack(content[4:20])
            if x + width > self._size[0] or y + height > self._size[1]:
                raise InvalidInput("the PNG has a frame outside the picture")
            self._frame = self._checked(width, height)
            content = content if self._palette else content[4:]
        elif kind == b"PLTE":
            content = content.translate(previews.COMPLEMENT)
        elif kind == b"tRNS" and self._kind in (0, 2):
            most = (1 << self._depth) - 1
            samples = (content[i : i + 2] for i in range(0, len(content), 2))
            values = (max(0, most - int.from_bytes(sample, "big")) for sample in samples)
            content = b"".join(value.to_bytes(2, "big") for value in values)
        elif kind == b"eXIf":
            content = previews.exif(content)
        elif _is_profile(kind, content):
            if _holds_picture(kind, content):
                return
        elif kind == b"iTXt" and content.startswith(_XMP):
            content = previews.xmp(content)
        elif kind not in _KNOWN and kind[0] & 0x20:
            if not kind[3] & 0x20:
                return
            content = previews.scrub(content)
        elif kind not in _KNOWN and kind not in (b"IHDR", b"IEND"):
            raise InvalidInput("the PNG has an unknown critical chunk")
        self._write(kind, content)

    def _write(self, kind: bytes, content: bytes) -> None:
        if kind in (b"fcTL", b"fdAT") and not self._palette:
            content = _NUMBER.pack(self._number) + content
            self._number += 1
        self._out.write(_HEAD.pack(len(content), kind) + content)
        self._out.write(_NUMBER.pack(crc32(content, crc32(kind))))


def _is_profile(kind: bytes, content: bytes) -> bool:
    """Whether it is text that may have to be inflated, or put together, to show a picture."""
    if kind == b"iTXt":
        return content.startswith(_XMP + b"\1")
    return kind in (b"tEXt", b"zTXt") and bool(_PROFILE.match(content))


def _holds_picture(kind: bytes, content: bytes) -> bool:
    """Whether an ImageMagick profile (hexadecimal, perhaps deflated) or compressed XMP (base64) has
    a JPEG in it, or cannot be looked through."""
    text = content.partition(b"\0")[2]
    if kind != b"tEXt":
        # iTXt: two bytes, then language and keyword, each up to a zero (11.3.3.4); zTXt: one byte.
        packed = text[1:] if kind == b"zTXt" else text[2:].split(b"\0", 2)[-1]
        inflate = zlib.decompressobj()
        try:
            text = inflate.decompress(packed, _MOST_TEXT)
        except zlib.error:
            return True
        if inflate.unconsumed_tail:
            return True
    return b"/9j/" in text or b"ffd8ff" in b"".join(text.split()).lower()
