"""Negate a HEIC or an AVIF: the coded data of each picture are decoded and encoded again.

Tiles of a grid, thumbnails, gain maps and further pictures are items of the file and are negated
one by one. Other items stay byte for byte: alpha, depth and mattes, which have no colors, EXIF and
XMP. So do the properties: orientation, color profile, HDR metadata. Other auxiliary pictures, which
could show the colors as they were, are left out, with a note.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from worker.errors import InvalidInput
from worker.transforms.negate import previews
from worker.transforms.negate.av1 import Av1
from worker.transforms.negate.hevc import Hevc
from worker.transforms.negate.picture_codec import (
    COLOR,
    CONFIGURATIONS,
    NCLX,
    Codec,
    Nclx,
    Pixels,
)
from worker.transforms.negate.pixels import COMPLEMENT
from worker.transforms.negate.verification import check_equal
from worker.transforms.pictures import boxes, heif, pixel_limit
from worker.transforms.pictures.decoding import (
    DECODER_BYTES,
    ENCODER_BYTES,
    memory_errors,
    translated_errors,
)
from worker.transforms.pictures.heif import Heif
from worker.transforms.pictures.mapped_file import MappedFile

_AUXILIARY, _DERIVED, _DESCRIBES, _THUMBNAIL = b"auxl", b"dimg", b"cdsc", b"thmb"
_PREMULTIPLIED = b"prem"
_GRID, _IDENTITY, _GAIN_MAPPED = b"grid", b"iden", b"tmap"
_EXIF, _XMP, _URI = b"Exif", b"mime", b"uri "
_XMP_TYPE = b"application/rdf+xml"
_SIZE, _CROP = b"ispe", b"clap"
_TURNS = (b"irot", b"imir")
_LAYERS = (b"a1lx", b"a1op", b"lsel")  # of progressive pictures
# Auxiliary pictures (ISO/IEC 23008-12, annex B; Apple's) that hold no colors.
_COLORLESS = (
    *("urn:mpeg:hevc:2015:auxid:1", "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"),
    *("urn:mpeg:hevc:2015:auxid:2", "urn:mpeg:mpegB:cicp:systems:auxiliary:depth"),
    *("urn:com:apple:photo:2018:aux:portraiteffectsmatte",),
    *(f"urn:com:apple:photo:2019:aux:semantic{part}matte" for part in ("hair", "skin", "teeth")),
    *(f"urn:com:apple:photo:2020:aux:semantic{part}matte" for part in ("glasses", "sky")),
)
_GAIN_MAP_NOTE = "its gain map was negated as well"
_GAIN_MAPS = ("urn:com:apple:photo:2020:aux:hdrgainmap",)
# Boxes of a file that are left out, by their beginnings: a video and more pictures that some phones
# add, and content credentials (C2PA 2.2, A.5.1).
_UNWANTED = {
    b"mpvd": "dropped the motion photo's video",
    b"sefd": "dropped Samsung's trailer",
    b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481"): previews.CREDENTIALS_NOTE,
}
_RGB = 0  # matrix coefficients
_MAX_ERROR = 8  # of 255, in the mean: more is not the loss of coding again

_Property = tuple[bool, bytes]


@dataclass(frozen=True)
class _Negative:
    """The negative of an item: its data, its properties, and what its numbers mean."""

    data: bytes
    properties: list[_Property]
    nclx: Nclx


@dataclass(frozen=True)
class _Plan:
    """What becomes of a file's items.

    Attributes:
        colored: Those that are negated.
        removed: Those that are left out.
        notes: Of what is left out.
    """

    colored: list[int]
    removed: set[int]
    notes: list[str]


def negate_avif(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of an AVIF.

    Args:
        file: The picture.
        target: Where the negative goes.
        pixels: The most pixels that it may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: It is damaged, too large or not supported.
    """  # noqa: DOC502  raised by what it calls
    return _negate(file, target, pixels, Av1())


def negate_heic(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a HEIC; see `negate_avif`. Only with the package pillow-heif."""
    return _negate(file, target, pixels, Hevc())


def _negate(file: MappedFile, target: Path, pixels: int, codec: Codec) -> list[str]:
    source = heif.read(file.data)
    plan = _planned(source, codec)
    areas = [_area(source, item) for item in plan.colored]
    pixel_limit.check(sum(areas), pixels)
    needed = DECODER_BYTES[codec.name] * max(areas, default=0)
    with translated_errors(codec.name, pixels), memory_errors(needed):
        negatives = {item: _negative(source, item, codec) for item in plan.colored}
    changed = {item: (each.data, each.properties) for item, each in negatives.items()}
    metadata, notes = _changed_metadata(source)
    changed |= _changed_grids(source, negatives) | metadata
    changed = {item: each for item, each in changed.items() if item not in plan.removed}
    heif.write(source, target, changed, plan.removed, _UNWANTED)
    _verify(source, heif.read(MappedFile(target).data), plan)
    beginnings = [heif.beginning(box) for box in source.file]
    notes += [note for known, note in _UNWANTED.items() for b in beginnings if b.startswith(known)]
    return [f"lossy {codec.name} encoded again", *dict.fromkeys((*plan.notes, *notes))]


def _area(source: Heif, item: int) -> int:
    width, height = source.size(item)
    return width * height


def _planned(source: Heif, codec: Codec) -> _Plan:
    """Decide what becomes of the items; raise InvalidInput for what is not supported."""
    removed, kept, notes = set[int](), set[int](), dict[str, None]()
    for one in source.references:
        if one.kind == _PREMULTIPLIED:
            raise InvalidInput(f"the {codec.name} has premultiplied alpha, which is not supported")
        if one.kind == _AUXILIARY:
            kind = _auxiliary_kind(source, one.source)
            if kind in _COLORLESS:
                kept |= _with_tiles(source, one.source)
            elif kind in _GAIN_MAPS:
                notes[_GAIN_MAP_NOTE] = None
            else:
                removed |= _with_tiles(source, one.source)
                notes[f"dropped the auxiliary picture {kind}"] = None
    if any(item.kind == _GAIN_MAPPED for item in source.items.values()):
        notes[_GAIN_MAP_NOTE] = None
    described = {one.source for one in source.references if one.kind == _DESCRIBES}
    removed |= {n for n in described if set(source.targets(_DESCRIBES, n)) <= removed}
    colored = [n for n, item in source.items.items() if item.kind == codec.kind]
    colored = [number for number in colored if number not in kept | removed]
    _check_kinds(source, codec, removed, kept & removed)
    return _Plan(colored, removed, list(notes))


def _check_kinds(source: Heif, codec: Codec, removed: set[int], both: set[int]) -> None:
    supported = (codec.kind, _GRID, _IDENTITY, _GAIN_MAPPED, _EXIF, _XMP, _URI)
    for number, item in source.items.items():
        if number not in removed and item.kind not in supported:
            kind = item.kind.decode("ascii", "replace")
            raise InvalidInput(f"the {codec.name} has an item of the kind {kind!r}: not supported")
    if source.primary in removed or both:
        raise InvalidInput(f"the {codec.name}'s picture is an auxiliary one: not supported")


def _auxiliary_kind(source: Heif, item: int) -> str:
    content = source.property(item, b"auxC") or b""
    text = content[4:].split(b"\0")[0].decode("ascii", "replace")
    return "".join(one for one in text if one.isprintable()) or "of no kind"


def _with_tiles(source: Heif, item: int) -> set[int]:
    """Return an item and those that it is made of."""
    return {item, *source.targets(_DERIVED, item)}


def _properties(file: Heif, item: int) -> list[_Property]:
    """Return an item's properties: whether each is essential, and its box."""
    return [(is_it, file.properties[index - 1]) for is_it, index in file.items[item].properties]


def _negative(source: Heif, item: int, codec: Codec) -> _Negative:
    """Return the negative of an item."""
    properties = _properties(source, item)
    kinds = [whole[4:8] for _, whole in properties]
    if any(kind in _LAYERS for kind in kinds):
        raise InvalidInput(f"the {codec.name} has layers of quality: not supported")
    configuration = source.property(item, CONFIGURATIONS[codec.kind])
    if configuration is None:
        raise InvalidInput(f"the {codec.name} does not say how its item {item} is coded")
    bits, subsampling = codec.layout(configuration)
    nclx = _nclx(source, item)
    is_gray = subsampling == "4:0:0"
    if codec.kind == Av1.kind and not is_gray and source.property(item, COLOR) is None and not nclx:
        raise InvalidInput("the AVIF does not say what its colors mean (no box colr)")
    if nclx and nclx.matrix == _RGB:
        raise InvalidInput(
            f"the {codec.name} is coded as RGB, as if without loss: convert it to PNG"
        )
    coded = [one for one in properties if one[1][4:8] not in (*_TURNS, _CROP)]
    decoded = codec.decode(_single(source, item, source.items[item].data, coded, nclx))
    if decoded.size != source.size(item) or decoded.bits != bits:
        raise InvalidInput(f"the {codec.name}'s data have another size or depth than its boxes say")
    wanted = Pixels(decoded.mode, decoded.size, bits, decoded.data.translate(COMPLEMENT))
    with memory_errors(ENCODER_BYTES * _area(source, item)):
        made_file, made_nclx = codec.encode(wanted, subsampling, nclx or Nclx())
    made = heif.read(memoryview(made_file))
    made_properties = {whole[4:8]: whole for _, whole in _properties(made, made.primary)}
    replaced = {kind: made_properties[kind] for kind in (CONFIGURATIONS[codec.kind], _SIZE)}
    result = [_replaced(one, replaced, made_nclx) for one in properties]
    crop = made_properties.get(_CROP)
    if crop:
        result = _cropped(source, item, result, crop)
    content = made.items[made.primary].data
    shown = [one for one in result if one[1][4:8] not in (*_TURNS, *(() if crop else (_CROP,)))]
    checked = codec.decode(_single(source, item, content, shown, nclx and made_nclx))
    _compare(checked, wanted, codec)
    return _Negative(content, result, made_nclx)


def _single(
    source: Heif, item: int, data: bytes, properties: list[_Property], nclx: Nclx | None
) -> bytes:
    """Return a file with an item; nclx is that of its grid if it has none itself."""
    if nclx and source.property(item, COLOR, NCLX) is None:
        properties = [*properties, (False, boxes.written(COLOR, nclx.written()))]
    return heif.single(source.items[item].kind, data, properties)


def _nclx(source: Heif, item: int) -> Nclx | None:
    """Return what the numbers of an item mean, as it or the grid of which it is a tile says."""
    grids = [
        one.source
        for one in source.references
        if one.kind == _DERIVED and item in one.targets and source.items[one.source].kind == _GRID
    ]
    for each in (item, *grids):
        if content := source.property(each, COLOR, NCLX):
            return Nclx.read(content)
    return None


def _replaced(one: _Property, replaced: Mapping[bytes, bytes], nclx: Nclx) -> _Property:
    """Return a property, or that which takes its place."""
    is_essential, whole = one
    if whole[4:8] == COLOR and whole[8:12] == NCLX:
        return is_essential, boxes.written(COLOR, nclx.written())
    return is_essential, replaced.get(whole[4:8], whole)


def _cropped(source: Heif, item: int, properties: list[_Property], crop: bytes) -> list[_Property]:
    """Return properties with a crop, since the encoder made the picture's sides even."""
    is_tile = any(one.kind == _DERIVED and item in one.targets for one in source.references)
    if is_tile or source.property(item, _CROP) is not None:
        raise InvalidInput("the HEIC has tiles or a crop with odd sides: not supported")
    first = next((i for i, (_, w) in enumerate(properties) if w[4:8] in _TURNS), len(properties))
    return [*properties[:first], (True, crop), *properties[first:]]


def _compare(made: Pixels, wanted: Pixels, codec: Codec) -> None:
    """Refuse a result that does not show what it should."""
    if (made.mode, made.size, made.bits) == (wanted.mode, wanted.size, wanted.bits):
        step = 1 if made.bits == 8 else 2  # noqa: PLR2004  the upper bytes suffice
        size = (made.size[0] * len(made.mode), made.size[1])
        pair = (Image.frombytes("L", size, one.data[step - 1 :: step]) for one in (made, wanted))
        if ImageStat.Stat(ImageChops.difference(*pair)).mean[0] <= _MAX_ERROR:
            return
    raise InvalidInput(f"the negative of the {codec.name} would differ in size, depth or colors")


def _changed_grids(
    source: Heif, negatives: Mapping[int, _Negative]
) -> dict[int, tuple[bytes, list[_Property]]]:
    """Return the grids whose tiles' numbers may now mean something else."""
    found = {}
    for number, item in source.items.items():
        tiles = [tile for tile in source.targets(_DERIVED, number) if tile in negatives]
        is_made_of_them = item.kind in (_GRID, _IDENTITY)
        if tiles and is_made_of_them and source.property(number, COLOR, NCLX):
            nclx = negatives[tiles[0]].nclx
            new = [_replaced(one, {}, nclx) for one in _properties(source, number)]
            found[number] = (item.data, new)
    return found


def _changed_metadata(source: Heif) -> tuple[dict[int, tuple[bytes, list[_Property]]], list[str]]:
    """Return the EXIF and XMP whose previews were negated, and notes."""
    found, notes = {}, list[str]()
    for number, item in source.items.items():
        new = previews.Negated(item.data)
        if item.kind == _EXIF:
            start = 4 + int.from_bytes(item.data[:4], "big")  # of the TIFF header
            exif = previews.negate_exif(item.data[start:])
            new = previews.Negated(item.data[:start] + exif.data, exif.notes)
        elif item.kind == _XMP and item.content_type == _XMP_TYPE:
            new = previews.negate_xmp(item.data)
        if new.data != item.data:
            found[number] = (new.data, _properties(source, number))
        notes += new.notes
    return found, notes


def _verify(source: Heif, made: Heif, plan: _Plan) -> None:
    """Refuse a result that lacks an item, or in which it has another kind."""

    def listed(file: Heif) -> dict[int, tuple[bytes, bytes]]:
        kinds = {n: (item.kind, item.content_type) for n, item in sorted(file.items.items())}
        return {n: kind for n, kind in kinds.items() if n not in plan.removed}

    check_equal("items", listed(source), listed(made))
    check_equal("main picture", source.primary, made.primary)
    check_equal("sizes", *([_shown_size(f, n) for n in plan.colored] for f in (source, made)))


def _shown_size(file: Heif, item: int) -> tuple[int, ...]:
    """Return the size of an item, after a crop if it has one."""
    crop = file.property(item, _CROP)
    if crop is None:
        return file.size(item)
    return tuple(int.from_bytes(crop[at : at + 4], "big") for at in (0, 8))
