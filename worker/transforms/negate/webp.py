"""Negate a WebP (RFC 9649), frame by frame; its container is written here.

Lossless pictures stay exact; lossy ones are encoded again. Alpha, the geometry, blending and
durations of frames, loops, the background color, the color profile and unknown chunks stay byte for
byte. EXIF and XMP have their previews negated.
"""

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops

from worker.errors import InvalidInput
from worker.quantities import counted
from worker.transforms.negate import previews
from worker.transforms.negate.previews import Negated
from worker.transforms.negate.verification import check_equal
from worker.transforms.pictures import pixel_limit, webp_header
from worker.transforms.pictures.decoding import (
    DECODER_BYTES,
    ENCODER_BYTES,
    memory_errors,
    translated_errors,
)
from worker.transforms.pictures.mapped_file import MappedFile
from worker.transforms.pictures.webp_header import EXTENDED, LOSSLESS, LOSSY, CodedPicture

_CHUNK = struct.Struct("<4sI")
_FILE_HEADER = 12  # bytes: RIFF, size, WEBP
_FRAME_HEADER = 16  # of an ANMF chunk, before the frame's own chunks
_ANIMATION, _FRAME, _ALPHA = b"ANIM", b"ANMF", b"ALPH"
_PICTURES, _STRUCTURE = (LOSSY, LOSSLESS), (EXTENDED, _ANIMATION, _ALPHA, b"ICCP")
_QUALITY = 90
_HAS_ALPHA_AT, _HAS_ALPHA = 4, 0x10  # in the header of lossless data (section 3.4)
_CREDENTIALS = b"C2PA"  # C2PA 2.2, A.3.7
_EXIF = b"Exif\0\0"  # before the EXIF data in files of some programs

_Chunk = tuple[bytes, memoryview]


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a WebP.

    Args:
        file: The WebP.
        target: Where the negative goes.
        pixels: The most pixels that all its frames may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: It is damaged or too large.
    """
    found = _read(file.data)
    chunks = [(kind, content) for kind, content in found if kind != _CREDENTIALS]
    structure = _structure(chunks)
    pictures = [part for part in structure if isinstance(part, CodedPicture)]
    if not pictures:
        raise InvalidInput("the WebP has no picture")
    pixel_limit.check(sum(picture.width * picture.height for picture in pictures), pixels)
    notes = dict.fromkeys([previews.CREDENTIALS_NOTE] if len(chunks) < len(found) else [])
    with target.open("wb") as out:
        out.write(bytes(_FILE_HEADER))
        for kind, content in chunks:
            negated = _negated(kind, content, pixels)
            out.write(_chunk(kind, negated.data))
            notes |= dict.fromkeys(negated.notes)
        size = out.tell() - _CHUNK.size
        out.seek(0)
        out.write(_CHUNK.pack(b"RIFF", size) + b"WEBP")
    check_equal("frames or chunks", structure, _structure(_read(MappedFile(target).data)))
    return _notes(file.data, pictures) + list(notes)


def _notes(data: memoryview, pictures: Sequence[CodedPicture]) -> list[str]:
    lossy = sum(picture.kind == LOSSY for picture in pictures)
    surplus = len(data) - _CHUNK.size - _CHUNK.unpack_from(data)[1]
    notes = (
        [f"encoded {counted(lossy, 'lossy picture')} again with quality {_QUALITY}"]
        if lossy
        else []
    )
    return notes + ([f"dropped {counted(surplus, 'byte')} after its end"] if surplus > 0 else [])


def _read(data: memoryview) -> list[_Chunk]:
    """Return the chunks of a file."""
    end = _CHUNK.size + _CHUNK.unpack_from(data)[1]
    if end > len(data):
        raise InvalidInput("the WebP is truncated")
    return list(_chunks(data[_FILE_HEADER:end]))


def _chunks(data: memoryview) -> Iterator[_Chunk]:
    at = 0
    while at < len(data):
        if at + _CHUNK.size > len(data):
            raise InvalidInput("the WebP is truncated")
        kind, size = _CHUNK.unpack_from(data, at)
        start = at + _CHUNK.size
        if start + size > len(data):
            raise InvalidInput("the WebP is truncated")
        yield kind, data[start : start + size]
        at = start + size + size % 2


def _structure(chunks: Sequence[_Chunk]) -> list[object]:
    """Return what the negative must have as well: all but pixels and metadata."""
    parts = list[object]()
    size = None
    for kind, content in chunks:
        parts.append(kind)
        if kind in _STRUCTURE:
            parts.append(bytes(content))
            size = webp_header.size(content, 4) if kind == EXTENDED else size
        elif kind in _PICTURES:
            parts.append(_picture(kind, content, size))
        elif kind == _FRAME:
            parts.append(bytes(content[:_FRAME_HEADER]))
            size_of_frame, pictures = webp_header.size(content, 6), 0
            for inner_kind, inner in _chunks(content[_FRAME_HEADER:]):
                is_picture = inner_kind in _PICTURES
                pictures += is_picture
                parts.append(
                    _picture(inner_kind, inner, size_of_frame) if is_picture else inner_kind
                )
            if pictures != 1:
                raise InvalidInput("the WebP is damaged: it has a frame without a picture")
    return parts


def _picture(kind: bytes, content: memoryview, size: tuple[int, int] | None) -> CodedPicture:
    """Read the header of coded pixels, and compare it with the frame's or canvas' size."""
    found = webp_header.coded_picture(kind, content)
    if size and size != (found.width, found.height):
        raise InvalidInput("the WebP is damaged: a picture's header is invalid")
    return found


def _chunk(kind: bytes, content: bytes | memoryview) -> bytes:
    return b"".join((_CHUNK.pack(kind, len(content)), content, bytes(len(content) % 2)))


def _negated(kind: bytes, content: memoryview, pixels: int) -> Negated:
    """Return the content of a chunk of the negative."""
    if kind in _PICTURES:
        return Negated(_negated_picture(kind, content, pixels))
    if kind == _FRAME:
        inner = _chunks(content[_FRAME_HEADER:])
        parts = (
            _chunk(k, _negated_picture(k, c, pixels) if k in _PICTURES else c) for k, c in inner
        )
        return Negated(bytes(content[:_FRAME_HEADER]) + b"".join(parts))
    metadata = bytes(content)
    if kind in _STRUCTURE:
        return Negated(metadata)
    if kind == b"EXIF":
        prefix = _EXIF if metadata.startswith(_EXIF) else b""
        negated = previews.negate_exif(metadata.removeprefix(prefix))
        return Negated(prefix + negated.data, negated.notes)
    return previews.negate_xmp(metadata) if kind == b"XMP " else previews.negate_streams(metadata)


def _negated_picture(kind: bytes, content: memoryview, pixels: int) -> bytes:
    """Decode a picture, and encode its negative."""
    header = webp_header.coded_picture(kind, content)
    area = header.width * header.height
    body = b"WEBP" + _chunk(kind, content)
    buffer = BytesIO()
    with (
        translated_errors("WebP", pixels),
        memory_errors(DECODER_BYTES["WebP"] * area),
        Image.open(BytesIO(_chunk(b"RIFF", body)), formats=("WEBP",)) as image,
    ):
        image.load()
        options = {"lossless": kind == LOSSLESS, "exact": True, "quality": _QUALITY}
        with memory_errors(ENCODER_BYTES * area):
            _negative(image).save(buffer, "WEBP", **options)
    (found,) = (bytes(c) for k, c in _read(buffer.getbuffer()) if k == kind)
    if kind == LOSSLESS:  # the encoder omits the flag if all pixels are opaque
        flag = found[_HAS_ALPHA_AT] | (content[_HAS_ALPHA_AT] & _HAS_ALPHA)
        found = found[:_HAS_ALPHA_AT] + bytes([flag]) + found[_HAS_ALPHA_AT + 1 :]
    return found


def _negative(image: Image.Image) -> Image.Image:
    """Return the negative of an RGB or RGBA image; alpha stays, colors below it change too."""
    if image.mode == "RGB":
        return ImageChops.invert(image)
    *colors, alpha = image.split()
    return Image.merge(image.mode, [*map(ImageChops.invert, colors), alpha])
