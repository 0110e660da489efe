"""Negatives of AVIF files: pictures encoded again, everything else of the file as it was."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.worker.heif_files import Item, auxiliary, coded, grid, written
from tests.worker.negation import MAX_PIXELS, negative
from tests.worker.pictures import encode, picture
from worker.errors import InvalidInput
from worker.transforms import negate
from worker.transforms.pictures import boxes, heif
from worker.transforms.pictures.heif import Heif

GAIN_MAP = "urn:com:apple:photo:2020:aux:hdrgainmap"
ALPHA = "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
PROFILE = bytes(range(128)) * 3
ROTATED, CROPPED = (
    boxes.written(b"irot", b"\1"),
    boxes.written(b"clap", struct.pack(">8I", *[8, 1] * 4)),
)


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def differs(data: bytes, result: bytes) -> float:
    """Return how far the colors of a result are from the negative, in levels and in the mean."""
    before, after = (opened(each).convert("RGB") for each in (data, result))
    assert before.size == after.size
    return max(ImageStat.Stat(ImageChops.difference(ImageChops.invert(before), after)).mean)


def notes_of(folder: Path, data: bytes) -> list[str]:
    (folder / "source").write_bytes(data)
    kind, notes = negate.negate_file(folder / "source", folder / "target", MAX_PIXELS)
    assert kind == "image/avif"
    return notes


def parsed(data: bytes) -> Heif:
    return heif.read(memoryview(data))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:2", "range": "limited"},
        {
            "icc_profile": PROFILE,
            "xmp": b"<x:xmpmeta/>",
            "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0",
        },
    ],
    ids=["default", "444", "limited 422", "metadata"],
)
def test_a_picture(mode: str, options: dict[str, Any], tmp_path: Path) -> None:
    image = picture(3, (67, 45)).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    if mode == "L":
        options = {**options, "subsampling": "4:0:0"}
    data = encode(image, "AVIF", **options)
    result = negative(tmp_path, data)
    assert differs(data, result) < 3
    before, after = opened(data), opened(result)
    assert (before.mode, before.info) == (after.mode, after.info)
    if mode == "RGBA":
        assert before.getchannel("A").tobytes() == after.getchannel("A").tobytes()
    configurations = [
        each.property(each.primary, b"av1C") for each in (parsed(data), parsed(result))
    ]
    assert configurations[0] == configurations[1]
    assert notes_of(tmp_path, data) == ["lossy AVIF encoded again"]


def test_all_properties_and_other_items_are_kept(tmp_path: Path) -> None:
    shown = coded(picture(1, (64, 48)))
    others = [
        boxes.written(b"clli", b"\1\2\3\4"),
        boxes.written(b"pasp", b"\0\0\0\1\0\0\0\1"),
        ROTATED,
    ]
    shown.properties += [(kind == ROTATED, kind) for kind in others]
    mask = auxiliary(coded(Image.linear_gradient("L").resize((64, 48))), ALPHA, of=1)
    exif = Item(b"Exif", bytes(4) + b"MM\0*\0\0\0\x08\0\0\0\0\0\0", references={b"cdsc": (1,)})
    xmp = Item(
        b"mime", b"<x:xmpmeta/>", references={b"cdsc": (1,)}, content_type=b"application/rdf+xml"
    )
    data = written({1: shown, 2: mask, 7: exif, 9: xmp})
    result = negative(tmp_path, data)
    before, after = parsed(data), parsed(result)
    assert differs(data, result) < 3
    assert list(after.items) == [1, 2, 7, 9]
    assert [after.items[n].data for n in (2, 7, 9)] == [mask.data, exif.data, xmp.data]
    assert [after.property(1, kind) for kind in (b"clli", b"pasp", b"irot")] == [
        before.property(1, kind) for kind in (b"clli", b"pasp", b"irot")
    ]
    assert after.references == before.references


def test_tiles_thumbnails_and_further_pictures_are_negated(tmp_path: Path) -> None:
    whole = picture(2, (128, 64))
    left, right = coded(whole.crop((0, 0, 64, 64))), coded(whole.crop((64, 0, 128, 64)))
    thumbnail = coded(whole.resize((64, 32)))
    thumbnail.references = {b"thmb": (1,)}
    tiles = grid((128, 64), 2, 1, (2, 3))
    tiles.properties += [p for p in left.properties if p[1][4:8] in (b"colr", b"pixi")]
    data = written({1: tiles, 2: left, 3: right, 4: thumbnail, 5: coded(picture(8, (32, 32)))})
    result = negative(tmp_path, data)
    assert differs(data, result) < 3
    for number in (4, 5):
        assert (
            differs(
                *(
                    heif.single(
                        b"av01",
                        file.items[number].data,
                        [(e, file.properties[i - 1]) for e, i in file.items[number].properties],
                    )
                    for file in (parsed(data), parsed(result))
                )
            )
            < 3
        )
    assert parsed(result).items[1].data == tiles.data
    inside = boxes.written(b"idat", tiles.data)
    assert inside in data
    assert inside in result


def picture_of(file: Heif, number: int) -> bytes:
    """Return a file with an item alone."""
    item = file.items[number]
    properties = [(e, file.properties[i - 1]) for e, i in item.properties]
    return heif.single(b"av01", item.data, [p for p in properties if p[1][4:8] != b"auxC"])


def test_gain_maps_are_negated_with_a_note(tmp_path: Path) -> None:
    shown, small = coded(picture(1, (64, 48))), coded(picture(2, (32, 24), "L"))
    data = written({1: shown, 2: auxiliary(small, GAIN_MAP, of=1)})
    note = "its gain map was negated as well"
    assert notes_of(tmp_path, data) == ["lossy AVIF encoded again", note]
    before, after = parsed(data), parsed((tmp_path / "target").read_bytes())
    for number in (1, 2):
        assert differs(picture_of(before, number), picture_of(after, number)) < 3
    assert after.references == before.references


def test_a_tone_mapped_picture_stays(tmp_path: Path) -> None:
    """ISO 21496-1: a derived item of the picture and its gain map, in a group of alternatives."""
    shown, small = coded(picture(1, (64, 48))), coded(picture(2, (32, 24), "L"))
    wide = boxes.written(b"colr", b"nclx\0\x0c\0\x10\0\x09\x80")
    tone_mapped = Item(b"tmap", bytes(60), [(False, wide)], references={b"dimg": (1, 2)})
    group = boxes.written(b"altr", struct.pack(">5I", 0, 9, 2, 3, 1))
    data = written({1: shown, 2: small, 3: tone_mapped}, groups=boxes.written(b"grpl", group))
    assert notes_of(tmp_path, data)[1:] == ["its gain map was negated as well"]
    result = (tmp_path / "target").read_bytes()
    after = parsed(result)
    assert (after.items[3].data, after.property(3, b"colr")) == (tone_mapped.data, wide[8:])
    assert group in result
    assert differs(picture_of(parsed(data), 2), picture_of(after, 2)) < 3


def test_other_auxiliary_pictures_are_dropped_with_a_note(tmp_path: Path) -> None:
    shown, small = coded(picture(1, (64, 48))), coded(picture(2, (32, 24), "L"))
    depth = auxiliary(small, "urn:mpeg:mpegB:cicp:systems:auxiliary:depth", of=1)
    about = Item(b"mime", b"<x/>", references={b"cdsc": (2,)}, content_type=b"application/rdf+xml")
    group = boxes.written(b"eqiv", struct.pack(">5I", 0, 9, 2, 2, 1))
    data = written(
        {1: shown, 2: auxiliary(small, "x", of=1), 3: about, 4: depth},
        groups=boxes.written(b"grpl", group),
    )
    assert notes_of(tmp_path, data)[1:] == ["dropped the auxiliary picture x"]
    result = (tmp_path / "target").read_bytes()
    after = parsed(result)
    assert list(after.items) == [1, 4]
    assert after.items[4].data == depth.data
    assert [(one.kind, one.source) for one in after.references] == [(b"auxl", 4)]
    assert b"grpl" not in result
    assert differs(data, result) < 3


def test_a_motion_photos_video_is_dropped_with_a_note(tmp_path: Path) -> None:
    data = (
        encode(picture(), "AVIF") + boxes.written(b"mpvd", bytes(99)) + boxes.written(b"abcd", b"x")
    )
    assert notes_of(tmp_path, data)[1:] == ["dropped the motion photo's video"]
    assert (tmp_path / "target").read_bytes().endswith(b"abcdx")


def test_content_credentials_are_dropped_with_a_note(tmp_path: Path) -> None:
    other, c2pa = bytes(16), bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    kept = boxes.written(b"uuid", other, b"kept")
    data = encode(picture(), "AVIF") + boxes.written(b"uuid", c2pa, b"a manifest") + kept
    assert "content credentials (C2PA)" in notes_of(tmp_path, data)[1]
    written_bytes = (tmp_path / "target").read_bytes()
    assert written_bytes.endswith(kept)
    assert b"a manifest" not in written_bytes


def changed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1
    return data.replace(old, new)


PLAIN = encode(picture(1, (40, 30)), "AVIF")
TWO = encode(picture(1, (40, 30)), "AVIF", save_all=True, append_images=[picture(2, (40, 30))])


def premultiplied() -> bytes:
    mask = auxiliary(coded(picture(1, (64, 48), "L")), ALPHA, of=1)
    shown = coded(picture(1, (64, 48)))
    shown.references = {b"prem": (2,)}
    return written({1: shown, 2: mask})


def overlay() -> bytes:
    return written({1: Item(b"iovl", bytes(20), references={b"dimg": (2,)}), 2: coded(picture())})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: changed(PLAIN, b"av1C\x81\0\x0c", b"av1C\x81\0\x4c"),
            "the AVIF has 10 bits per channel",
        ),
        (
            lambda: changed(PLAIN, b"av1C\x81\0\x0c", b"av1C\x81\0\x6c"),
            "the AVIF has 12 bits per channel",
        ),
        (
            lambda: changed(PLAIN, b"nclx\0\1\0\x0d\0\6", b"nclx\0\1\0\x0d\0\0"),
            "coded as RGB, as if without loss",
        ),
        (lambda: changed(PLAIN, b"colrnclx", b"xxxxnclx"), "does not say what its colors mean"),
        (lambda: changed(PLAIN, b"pixi", b"a1lx"), "layers of quality"),
        (lambda: PLAIN[:-9], "truncated"),
        (lambda: PLAIN[:200], "truncated"),
        (
            lambda: (
                PLAIN[: PLAIN.index(b"mdat") + 4] + bytes(len(PLAIN) - PLAIN.index(b"mdat") - 4)
            ),
            "AVIF is damaged or not supported",
        ),
        (lambda: TWO, "image sequences"),
        (premultiplied, "premultiplied alpha"),
        (overlay, "'iovl'"),
        (
            lambda: written({1: coded(picture()), 2: grid((8, 8), 1, 1, (5,))}),
            "items that it does not",
        ),
    ],
    ids=[
        *("10 bits", "12 bits", "identity", "no color", "layers", "truncated"),
        *("header", "damaged", "sequence", "premultiplied", "overlay", "reference"),
    ],
)
def test_refused(make: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, make())


def test_too_many_pixels(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(PLAIN)
    with pytest.raises(InvalidInput, match=r"it has 1,200 pixels, .* 1,199"):
        negate.negate_file(tmp_path / "source", tmp_path / "target", 1199)


def test_the_result_is_the_same_each_time(tmp_path: Path) -> None:
    assert negative(tmp_path, PLAIN) == negative(tmp_path, PLAIN)
