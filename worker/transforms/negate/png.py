"""Negate a PNG or APNG (W3C PNG, third edition) by its filtered rows, or by its palette.

Alpha stays; a transparent color (tRNS) is complemented as the samples are. Chunks keep their order
and content, EXIF and XMP with their previews negated; those that are unknown and unsafe to copy
(14.2) are dropped, as specified, and with them editors' layers and previews, and all
after IEND. Negating twice gives the same pixels, and of a palette image the same bytes.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from worker.errors import InvalidInput
from worker.quantities import counted
from worker.transforms.negate import previews
from worker.transforms.negate.pixels import COMPLEMENT
from worker.transforms.negate.previews import Negated
from worker.transforms.negate.scanlines import DecodingNeeded, Layout, Scanlines, crc32
from worker.transforms.negate.verification import check_equal
from worker.transforms.pictures import pixel_limit
from worker.transforms.pictures.mapped_file import MappedFile

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD, _NUMBER, _FRAME = struct.Struct(">I4s"), struct.Struct(">I"), struct.Struct(">4I")
_MAX_CHUNKS = 150_000
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6  # color types (11.2.1)
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 1, _GRAY_ALPHA: 2, _RGBA: 4}
_DEPTHS = {
    _GRAY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GRAY_ALPHA: (8, 16),
    _RGBA: (8, 16),
}
# Chunks that are unsafe to copy for a program that does not know them; they hold no picture.
_SAFE = {b"cHRM", b"cICP", b"cLLI", b"gAMA", b"iCCP", b"mDCV", b"sBIT", b"sRGB", b"bKGD", b"hIST"}
_SAFE |= {
    b"sPLT",
    b"tIME",
    b"acTL",
    b"oFFs",
    b"pCAL",
    b"sCAL",
    b"sTER",
    b"tRNS",
    b"gIFg",
    b"gIFx",
    b"vpAg",
}
_XMP = b"XML:com.adobe.xmp\0"
_PROFILE = re.compile(rb"Raw profile type (?!icc)", re.IGNORECASE)
_MAX_TEXT_BYTES = 1 << 24


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a PNG.

    Args:
        file: The PNG.
        target: Where the negative goes.
        pixels: The most pixels that all its frames may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: It is damaged or too large.
    """  # noqa: DOC502  raised by what it calls
    try:
        transcoding = _transcoded(file, target, pixels, decoding=False)
    except DecodingNeeded:
        transcoding = _transcoded(file, target, pixels, decoding=True)
    check_equal("frames", transcoding.frames, _frames(MappedFile(target).data))
    return transcoding.notes()


def _transcoded(file: MappedFile, target: Path, pixels: int, *, decoding: bool) -> "_Transcoding":
    with target.open("wb") as out:
        transcoding = _Transcoding(out, pixels, decoding=decoding)
        transcoding.run(file)
    return transcoding


def _frames(data: memoryview) -> list[bytes]:
    """Read the headers of a written PNG and of its frames, and where their data are."""
    found, at, last = list[bytes](), len(_SIGNATURE), b""
    while at + _HEAD.size <= len(data):
        length, kind = _HEAD.unpack_from(data, at)
        found += _outline(kind, data[at + 8 : at + 8 + length], last)
        at, last = at + 12 + length, kind
    return found if at == len(data) and last == b"IEND" else []


def _outline(kind: bytes, content: memoryview, last: bytes) -> list[bytes]:
    """Return what a chunk adds to the frames: a header, or that pixels follow."""
    if kind in (b"IHDR", b"acTL"):
        return [bytes(content)]
    if kind == b"fcTL":  # without its sequence number, which can change
        return [bytes(content[4:])]
    return [kind] if kind in (b"IDAT", b"fdAT") and kind != last else []


def _chunks(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, first byte of its content, end of it) of each chunk up to IEND, CRC checked."""
    at = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
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
        raise InvalidInput(f"the PNG has more than {_MAX_CHUNKS} chunks")
    raise InvalidInput("the PNG is truncated")


class _Transcoding:
    """One pass over a file's chunks.

    Attributes:
        frames: The headers of the picture and its frames, and where their data are.
    """

    def __init__(self, out: BinaryIO, pixels: int, *, decoding: bool) -> None:
        self._out, self._decoding = out, decoding
        self._pixels, self._limit = 0, pixels
        self._palette, self._kind, self._depth = False, 0, 0
        self._size, self._frame = (0, 0), (0, 0)
        self._layout: Layout | None = None
        self._scanlines: Scanlines | None = None
        self._sequence_number = 0  # of the next fcTL or fdAT
        self._seen: set[bytes] = set()
        self._dropped, self._preview_notes = dict[str, None](), dict[str, None]()
        self._surplus = 0
        self.frames = list[bytes]()

    def notes(self) -> list[str]:
        """Return what was dropped."""
        notes = [f"dropped {counted(self._surplus, 'byte')} after its end"] if self._surplus else []
        names = ", ".join(self._dropped)
        notes += [f"dropped PNG chunks {names}"] if names else []
        return notes + list(self._preview_notes)

    def run(self, file: MappedFile) -> None:
        """Write the negative."""
        data, copied = file.data, (0, 0)
        if data[: len(_SIGNATURE)] != _SIGNATURE:
            raise InvalidInput("the PNG's signature is damaged")
        self._out.write(_SIGNATURE)
        last = b""
        for kind, at, end in _chunks(data):
            self._surplus = len(data) - end - 4
            self.frames += _outline(kind, data[at:end], last)
            as_it_is = self._palette and kind in (b"IDAT", b"fdAT")
            if as_it_is and copied[1] == at - 8:
                copied = (copied[0], end + 4)
                continue
            file.copy(*copied, self._out)
            copied = (at - 8, end + 4) if as_it_is else (0, 0)
            self._check_order(kind, last)
            if self._scanlines and kind != last:
                self._end_picture(last)
            last = kind
            self._seen.add(kind)
            if kind == b"IHDR":
                self._header(bytes(data[at:end]))
            if kind == b"IDAT" and not as_it_is:
                self._image_data(kind, data[at:end])
            elif kind == b"fdAT" and not as_it_is:
                self._image_data(kind, data[at + 4 : end])
            elif not as_it_is:
                self._other(kind, bytes(data[at:end]))
        if b"IDAT" not in self._seen or (self._palette and b"PLTE" not in self._seen):
            raise InvalidInput("the PNG has no image data or no palette")

    def _check_order(self, kind: bytes, last: bytes) -> None:
        if (kind == b"IHDR") == bool(self._seen):
            raise InvalidInput("the PNG does not begin with one header")
        if kind == b"IDAT" and last != kind and kind in self._seen:
            raise InvalidInput("the PNG's image data is not consecutive")

    def _header(self, content: bytes) -> None:
        if len(content) != 13:  # noqa: PLR2004
            raise InvalidInput("the PNG's header has the wrong length")
        width, height = _NUMBER.unpack(content[:4])[0], _NUMBER.unpack(content[4:8])[0]
        depth, kind, compression, filtering, interlace = content[8:]
        if depth not in _DEPTHS.get(kind, ()) or compression or filtering or interlace > 1:
            raise InvalidInput(
                f"the PNG's header is invalid: color type {kind}, {depth} bits, compression "
                f"{compression}, filter method {filtering}, interlace method {interlace}"
            )
        self._size = self._frame = self._checked(width, height)
        self._palette, self._kind, self._depth = kind == _PALETTE, kind, depth
        bits = _CHANNELS[kind] * depth
        alpha_bytes = depth // 8 if kind in (_GRAY_ALPHA, _RGBA) else 0
        self._layout = Layout(bits, max(1, bits // 8) - alpha_bytes, bool(interlace))

    def _checked(self, width: int, height: int) -> tuple[int, int]:
        if not (0 < width < 1 << 31 and 0 < height < 1 << 31):
            raise InvalidInput("the PNG has no width or no height")
        self._pixels += width * height
        pixel_limit.check(self._pixels, self._limit)
        return width, height

    def _image_data(self, kind: bytes, content: memoryview) -> None:
        if not self._scanlines:
            assert self._layout  # noqa: S101
            size = self._size if kind == b"IDAT" else self._frame
            self._scanlines = Scanlines(self._layout, *size, decoding=self._decoding)
        self._write_data(kind, self._scanlines.feed(content))

    def _end_picture(self, kind: bytes) -> None:
        assert self._scanlines  # noqa: S101
        self._write_data(kind, self._scanlines.finish())
        self._scanlines = None

    def _write_data(self, kind: bytes, pieces: Iterator[bytes]) -> None:
        for piece in filter(None, pieces):
            self._write(kind, piece)

    def _other(self, kind: bytes, content: bytes) -> None:
        if kind == b"fcTL":
            content = self._frame_control(content)
        elif kind == b"PLTE":
            content = content.translate(COMPLEMENT)
        elif kind == b"tRNS" and self._kind in (_GRAY, _RGB):
            most = ((1 << self._depth) - 1).to_bytes(2, "big")  # bits above are ignored (11.3.1.1)
            content = bytes(byte ^ most[i % 2] for i, byte in enumerate(content))
        elif kind == b"sPLT":
            content = _negated_suggestion(content)
        elif kind == b"eXIf":
            content = self._kept(previews.negate_exif(content))
        elif _is_profile(kind, content):
            if _holds_picture(kind, content):
                self._dropped[kind.decode("latin-1")] = None
                return
        elif kind == b"iTXt" and content.startswith(_XMP):
            content = self._kept(previews.negate_xmp(content))
        elif kind not in _SAFE and kind[0] & 0x20:
            if not kind[3] & 0x20:
                self._dropped[kind.decode("latin-1")] = None
                return
            content = self._kept(previews.negate_streams(content))
        elif kind not in _SAFE and kind not in (b"IHDR", b"IEND"):
            name = kind.decode("ascii", "backslashreplace")
            raise InvalidInput(f"the PNG has the unknown critical chunk {name!r}")
        self._write(kind, content)

    def _kept(self, negated: Negated) -> bytes:
        self._preview_notes |= dict.fromkeys(negated.notes)
        return negated.data

    def _frame_control(self, content: bytes) -> bytes:
        if len(content) != 26:  # noqa: PLR2004
            raise InvalidInput("the PNG has a frame control chunk of the wrong length")
        width, height, x, y = _FRAME.unpack(content[4:20])
        if x + width > self._size[0] or y + height > self._size[1]:
            raise InvalidInput("the PNG has a frame outside the picture")
        self._frame = self._checked(width, height)
        return content if self._palette else content[4:]

    def _write(self, kind: bytes, content: bytes) -> None:
        if kind in (b"fcTL", b"fdAT") and not self._palette:
            content = _NUMBER.pack(self._sequence_number) + content
            self._sequence_number += 1
        self._out.write(_HEAD.pack(len(content), kind) + content)
        self._out.write(_NUMBER.pack(crc32(content, crc32(kind))))


def _negated_suggestion(content: bytes) -> bytes:
    """Complement the colors of a suggested palette (11.3.4.4); alpha and frequencies stay."""
    name, separator, entries = content.partition(b"\0")
    depth, colors = entries[:1], entries[1:]
    mask = b"\xff\xff\xff\0\0\0" if depth == b"\x08" else bytes([255] * 6 + [0] * 4)
    if depth not in (b"\x08", b"\x10") or len(colors) % len(mask):
        raise InvalidInput("the PNG has a suggested palette (sPLT) of the wrong length")
    inverted = int.from_bytes(colors, "big") ^ int.from_bytes(
        mask * (len(colors) // len(mask)), "big"
    )
    return name + separator + depth + inverted.to_bytes(len(colors), "big")


def _is_profile(kind: bytes, content: bytes) -> bool:
    """Return whether it is text in which a picture may be encoded or compressed."""
    if kind == b"iTXt":
        return content.startswith(_XMP + b"\1")
    return kind in (b"tEXt", b"zTXt") and bool(_PROFILE.match(content))


def _holds_picture(kind: bytes, content: bytes) -> bool:
    """Return whether a text chunk contains a JPEG, or cannot be searched.

    The chunk is an ImageMagick profile (hexadecimal, perhaps deflated) or compressed XMP (base64).
    """
    text = content.partition(b"\0")[2]
    if kind != b"tEXt":
        # iTXt: two bytes, then language and keyword, each up to a zero (11.3.3.4); zTXt: one byte.
        packed = text[1:] if kind == b"zTXt" else text[2:].split(b"\0", 2)[-1]
        inflate = zlib.decompressobj()
        try:
            text = inflate.decompress(packed, _MAX_TEXT_BYTES)
        except zlib.error:
            return True
        if inflate.unconsumed_tail:
            return True
    return b"/9j/" in text or b"ffd8ff" in b"".join(text.split()).lower()
