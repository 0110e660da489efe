"""Negate a JPEG 2000: its codestream is decoded and encoded by Pillow, all other boxes are kept.

A reversible codestream (the 5/3 wavelet) stays exact, an irreversible one is encoded again in the
source's size. A palette is negated instead of the codestream. The boxes are those of ISO/IEC
15444-1, annex I.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from worker.errors import InvalidInput
from worker.quantities import counted
from worker.transforms.negate import previews
from worker.transforms.negate.pixels import COMPLEMENT
from worker.transforms.pictures import boxes, codestream, pixel_limit
from worker.transforms.pictures.boxes import Box
from worker.transforms.pictures.codestream import Header
from worker.transforms.pictures.decoding import (
    DECODER_BYTES,
    ENCODER_BYTES,
    memory_errors,
    translated_errors,
)
from worker.transforms.pictures.mapped_file import MappedFile

_NAME = "JPEG 2000"
_CODESTREAM, _HEADER = b"jp2c", b"jp2h"
_COLORS, _CHANNELS, _PALETTE, _MAPPING = b"colr", b"cdef", b"pclr", b"cmap"
_UUID = b"uuid"
_UUID_EXIF = b"JpgTiffExif->JP2"
_UUID_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
# Of `colr`: the method that names a color space, and those whose channels are complemented: CMYK,
# sRGB, gray, sYCC, e-sRGB, ROMM-RGB.
_ENUMERATED, _COMPLEMENTED = 1, (12, 16, 17, 18, 20, 21)
_COLOR, _OPACITY = 0, 1  # types of a channel
_BYTE_BITS, _DEEP_BITS = 8, 16
_MAX_COMPONENTS = 4
_WITHOUT_ALPHA = (1, 3)  # components, if no channels are defined


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a JPEG 2000.

    Args:
        file: The picture, a codestream or a file of boxes.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: It is damaged, too large or not supported.
    """  # noqa: DOC502  raised by what it calls
    if file.data[:2] == codestream.START:
        new, notes = _negative(file.data, _colors((), codestream.read(file.data)), pixels)
        target.write_bytes(new)
        return notes
    found = list(boxes.read(file.data, _NAME))
    header, stream = (_only(found, kind) for kind in (_HEADER, _CODESTREAM))
    inner = list(boxes.read(header.content, _NAME))
    _check_color_space(inner)
    new_header: bytes | memoryview = header.whole
    if any(box.kind == _PALETTE for box in inner):
        new, notes = bytes(stream.whole), list[str]()
        with _decoded(stream.content, codestream.read(stream.content), pixels):
            new_header = _with_negative_palette(inner)
    else:
        colors = _colors(inner, codestream.read(stream.content))
        content, notes = _negative(stream.content, colors, pixels)
        new = boxes.written(_CODESTREAM, content)
    with target.open("wb") as out:
        for box in found:
            if box is header:
                out.write(new_header)
            elif box is stream:
                out.write(new)
            else:
                whole, its_notes = _negative_metadata(box)
                out.write(whole)
                notes += its_notes
    return list(dict.fromkeys(notes))


def _only(found: Iterable[Box], kind: bytes) -> Box:
    matching = [box for box in found if box.kind == kind]
    if len(matching) != 1:
        name = {_CODESTREAM: "codestream", _HEADER: "header"}.get(kind, kind.decode("latin-1"))
        count = len(matching) or "no"
        raise InvalidInput(f"the JPEG 2000 has {count} {name}s: only one picture is supported")
    return matching[0]


def _check_color_space(inner: Iterable[Box]) -> None:
    for box in inner:
        if box.kind == _COLORS and box.content[:1] == bytes([_ENUMERATED]):
            space = int.from_bytes(box.content[3:7], "big")
            if space not in _COMPLEMENTED:
                raise InvalidInput(f"the JPEG 2000's color space (number {space}) is not supported")


def _colors(inner: Iterable[Box], header: Header) -> list[bool]:
    """Return which components are colors; raise InvalidInput if that is not known."""
    definitions = [box for box in inner if box.kind == _CHANNELS]
    count = len(header.bits)
    if not definitions:
        if count not in _WITHOUT_ALPHA and not _is_cmyk(inner):
            raise InvalidInput(
                f"the JPEG 2000 has {count} components and does not say which of them is alpha"
            )
        return [True] * count
    return _color_channels(definitions[0], count)


def _is_cmyk(inner: Iterable[Box]) -> bool:
    return any(
        box.kind == _COLORS and bytes(box.content[:7]) == b"\1\0\0\0\0\0\x0c" for box in inner
    )


def _color_channels(definitions: Box, count: int) -> list[bool]:
    types = dict.fromkeys(range(count), _COLOR)
    for at in range(2, len(definitions.content) - 5, 6):
        channel, kind = (
            int.from_bytes(definitions.content[i : i + 2], "big") for i in (at, at + 2)
        )
        types[channel] = kind
    if not set(types.values()) <= {_COLOR, _OPACITY}:
        raise InvalidInput("the JPEG 2000 has premultiplied alpha or a channel of unknown meaning")
    return [types[channel] == _COLOR for channel in range(count)]


def _with_negative_palette(inner: Sequence[Box]) -> bytes:
    """Return the header box with its palette complemented, but for columns of alpha."""
    mapping = _only(inner, _MAPPING).content
    channels = [(mapping[at + 2], mapping[at + 3]) for at in range(0, len(mapping) - 3, 4)]
    if not all(is_mapped for is_mapped, _ in channels):
        raise InvalidInput("the JPEG 2000 has both a palette and channels without it")
    definitions = [box for box in inner if box.kind == _CHANNELS]
    colors = [True] * len(channels)
    if definitions:
        colors = _color_channels(definitions[0], len(channels))
    columns = {column for is_color, (_, column) in zip(colors, channels, strict=True) if is_color}
    palette = bytearray(_only(inner, _PALETTE).content)
    rows, count = int.from_bytes(palette[:2], "big"), palette[2] if len(palette) > 2 else 0  # noqa: PLR2004
    bits = [(depth & 0x7F) + 1 for depth in palette[3 : 3 + count]]
    sizes = [(each + 7) // 8 for each in bits]
    if len(palette) != 3 + count + rows * sum(sizes):
        raise InvalidInput("the JPEG 2000's palette is damaged")
    at = 3 + count
    for _ in range(rows):
        for column, (depth, size) in enumerate(zip(bits, sizes, strict=True)):
            if column in columns:
                value = int.from_bytes(palette[at : at + size], "big") ^ ((1 << depth) - 1)
                palette[at : at + size] = value.to_bytes(size, "big")
            at += size
    new = boxes.written(_PALETTE, bytes(palette))
    return boxes.written(_HEADER, *(new if box.kind == _PALETTE else box.whole for box in inner))


def _negative(data: memoryview, colors: Sequence[bool], pixels: int) -> tuple[bytes, list[str]]:
    """Return the negative of a codestream, and notes."""
    header = codestream.read(data)
    bits = set(header.bits)
    is_deep = bits == {_DEEP_BITS} and len(header.bits) == 1
    if header.is_signed or not (bits == {_BYTE_BITS} or is_deep):
        depths = "/".join(map(str, sorted(bits)))
        count = counted(len(header.bits), "component")
        kind = "signed" if header.is_signed else "unsigned"
        raise InvalidInput(
            f"the JPEG 2000 has {count} of {depths} bits, {kind}: only"
            " 8 bits, or 16 of a single one, can be kept; convert the file to TIFF"
        )
    with _decoded(data, header, pixels) as image:
        bands = [
            _complement(band) if is_color else band
            for band, is_color in zip(image.split(), colors, strict=True)
        ]
        negative = bands[0] if len(bands) == 1 else Image.merge(image.mode, bands)
        buffer = BytesIO()
        with memory_errors(ENCODER_BYTES * header.width * header.height):
            negative.save(buffer, "JPEG2000", no_jp2=True, **_options(header, len(data)))
    made = memoryview(buffer.getvalue())
    written = codestream.read(made)
    kept = (header.width, header.height, header.components, header.is_reversible)
    if (written.width, written.height, written.components, written.is_reversible) != kept:
        raise InvalidInput("the JPEG 2000's size or components would be changed")
    # Pillow's comment names its encoder.
    head = bytes(made[: written.end]).replace(written.comments, header.comments, 1)
    notes = [] if header.is_reversible else ["lossy JPEG 2000 encoded again"]
    return head + made[written.end :], notes


@contextmanager
def _decoded(data: memoryview, header: Header, pixels: int) -> Iterator[Image.Image]:
    """Decode a codestream, without the meaning that boxes give its components."""
    pixel_limit.check(header.width * header.height, pixels)
    if len(header.bits) > _MAX_COMPONENTS or header.is_subsampled:
        kind = " of different sizes" if header.is_subsampled else ""
        raise InvalidInput(
            f"the JPEG 2000 has {len(header.bits)} components{kind}, which is not supported:"
            " convert it to TIFF"
        )
    with (
        translated_errors(_NAME, pixels),
        memory_errors(DECODER_BYTES[_NAME] * header.width * header.height),
        Image.open(BytesIO(data), formats=("JPEG2000",)) as image,
    ):
        image.load()
        yield image


def _complement(band: Image.Image) -> Image.Image:
    if band.mode == "L":
        return ImageChops.invert(band)
    return Image.frombytes(band.mode, band.size, band.tobytes().translate(COMPLEMENT))


def _options(header: Header, size: int) -> dict[str, Any]:
    offset, tile_offset = header.offset
    tile = header.tile
    if header.bits[0] == _DEEP_BITS:
        # Pillow 13.0 writes 16-bit gray wrongly in several tiles.
        tile = (
            offset[0] + header.width - tile_offset[0],
            offset[1] + header.height - tile_offset[1],
        )
    options: dict[str, Any] = {
        "mct": int(header.has_color_transform),
        "irreversible": not header.is_reversible,
        "num_resolutions": header.resolutions,
        "progression": header.progression,
        "offset": offset,
        "tile_offset": tile_offset,
        "tile_size": tile,
    }
    if not header.is_reversible:
        raw = header.width * header.height * sum(header.bits) // 8
        options |= {"quality_mode": "rates", "quality_layers": [max(1, raw / size)]}
    return options


def _negative_metadata(box: Box) -> tuple[bytes | memoryview, tuple[str, ...]]:
    """Return a box, with the previews in EXIF and XMP negated, and notes."""
    if box.kind == _UUID:
        name, content = bytes(box.content[:16]), bytes(box.content[16:])
        negate_previews = {_UUID_EXIF: previews.negate_exif, _UUID_XMP: previews.negate_xmp}.get(
            name
        )
        if negate_previews:
            new = negate_previews(content)
            return boxes.written(_UUID, name, new.data), new.notes
    return box.whole, ()
