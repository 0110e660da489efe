"""Negatives of JPEG 2000: reversible codestreams exactly, other boxes byte for byte."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from tests.worker.negation import MAX_PIXELS, negative
from tests.worker.pictures import encode, picture
from worker.errors import InvalidInput
from worker.transforms import negate
from worker.transforms.pictures import boxes, codestream

SIZE = (45, 31)
XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<x:xmpmeta>\xc2\xb5</x:xmpmeta>"


def jp2(mode: str = "RGB", **options: Any) -> bytes:
    """Return a file of random pixels."""
    if mode == "I;16":
        image = Image.frombytes(mode, SIZE, Image.effect_noise((90, 31), 99).tobytes())
    else:
        image = Image.effect_noise(SIZE, 99).convert("RGB")
        image = Image.merge("RGBA", [*image.split(), ImageChops.offset(image.split()[0], 3)])
        image = image.convert(mode) if mode != "CMYK" else Image.merge(mode, image.split())
    return encode(image, "JPEG2000", **options)


def pixels(data: bytes) -> tuple[str, list[bytes]]:
    """Return the mode of a picture, and the samples of each channel."""
    with Image.open(BytesIO(data)) as image:
        return image.mode, [band.tobytes() for band in image.split()]


def complement(samples: bytes) -> bytes:
    return bytes(255 - value for value in samples)


def having(data: bytes, *added: bytes, header: bytes = b"") -> bytes:
    """Return a file with further boxes after its header, and in it."""
    result = b""
    for box in boxes.read(memoryview(data), "file"):
        whole = bytes(box.whole)
        if box.kind == b"jp2h":
            whole = boxes.written(b"jp2h", box.content, header) + b"".join(added)
        result += whole
    return result


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile_size": (16, 32)},
        {"offset": (3, 5), "tile_offset": (1, 2), "tile_size": (30, 30)},
        {"mct": 0, "num_resolutions": 2, "progression": "RPCL"},
    ],
    ids=["default", "tiles", "offsets", "others"],
)
def test_a_reversible_picture_stays_exact(
    mode: str, options: dict[str, Any], tmp_path: Path
) -> None:
    data = jp2(mode, **options)
    result = negative(tmp_path, data)
    its_mode, channels = pixels(data)
    count = len(channels) - (mode in ("LA", "RGBA"))
    expected = [complement(each) if i < count else each for i, each in enumerate(channels)]
    assert pixels(result) == (its_mode, expected)
    assert pixels(negative(tmp_path, result)) == (its_mode, channels)
    before, after = (codestream.read(memoryview(d[d.index(b"\xff\x4f") :])) for d in (data, result))
    assert (before.components, before.offset) == (after.components, after.offset)
    assert before.tile == after.tile or mode == "I;16"
    assert (before.resolutions, before.progression) == (after.resolutions, after.progression)


def test_all_other_boxes_are_kept(tmp_path: Path) -> None:
    resolution = boxes.written(
        b"res ", boxes.written(b"resc", struct.pack(">4H2B", 3, 1, 3, 1, 2, 2))
    )
    data = having(jp2(comment=b"by hand"), boxes.written(b"uuid", XMP), header=resolution)
    result = negative(tmp_path, data)
    before, after = (list(boxes.read(memoryview(each), "file")) for each in (data, result))
    assert [box.kind for box in before] == [box.kind for box in after]
    assert all(
        old.whole == new.whole
        for old, new in zip(before, after, strict=True)
        if old.kind != b"jp2c"
    )
    assert b"by hand" in result
    assert b"OpenJPEG" not in result


def test_a_codestream_without_boxes(tmp_path: Path) -> None:
    data = jp2(no_jp2=True)
    result = negative(tmp_path, data)
    assert result[:4] == b"\xff\x4f\xff\x51"
    assert pixels(result)[1] == [complement(each) for each in pixels(data)[1]]


def test_an_irreversible_picture_is_encoded_again_with_a_note(tmp_path: Path) -> None:
    photo = picture(5, (200, 150))
    data = encode(photo, "JPEG2000", irreversible=True, quality_layers=[20])
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    kind, notes = negate.negate_file(source, target, MAX_PIXELS)
    assert (kind, notes) == ("image/jp2", ["lossy JPEG 2000 encoded again"])
    pairs = zip(pixels(data)[1], pixels(target.read_bytes())[1], strict=True)
    errors = [abs(255 - a - b) for old, new in pairs for a, b in zip(old, new, strict=True)]
    assert sum(errors) / len(errors) < 1
    assert target.stat().st_size < 1.1 * len(data)


def palette_file() -> bytes:
    """Return a file whose three channels are made from one by a palette."""
    codestream_ = jp2("L", no_jp2=True)
    rows = [(i, (i * 7) % 256, 255 - i) for i in range(256)]
    palette = struct.pack(">HB3B", 256, 3, 7, 7, 7) + bytes(v for row in rows for v in row)
    header = boxes.written(b"ihdr", struct.pack(">IIHBBBB", 31, 45, 1, 7, 7, 0, 0))
    header += boxes.written(b"colr", b"\1\0\0\0\0\0\x10") + boxes.written(b"pclr", palette)
    header += boxes.written(b"cmap", b"".join(struct.pack(">HBB", 0, 1, i) for i in range(3)))
    start = b"\0\0\0\x0cjP  \r\n\x87\n" + boxes.written(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + boxes.written(b"jp2h", header) + boxes.written(b"jp2c", codestream_)


def test_a_palette_is_negated(tmp_path: Path) -> None:
    data = palette_file()
    result = negative(tmp_path, data)
    at = data.index(b"pclr") + 4 + 6
    assert result[at : at + 768] == complement(data[at : at + 768])
    assert result[:at] + result[at + 768 :] == data[:at] + data[at + 768 :]


def changed_bits(data: bytes, bits: int) -> bytes:
    at = data.index(b"\xff\x4f") + 2 + 2 + 38
    return data[:at] + bytes([bits]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (changed_bits(jp2(), 11), "3 components of 8/12 bits, unsigned"),
        (changed_bits(jp2("L"), 0x87), "has 1 component of 8 bits, signed"),
        (jp2("RGBA", no_jp2=True), "4 components and does not say which of them is alpha"),
        (jp2().replace(b"\0\0\0\x10", b"\0\0\0\x0e", 1), r"color space \(number 14\)"),
        (jp2("LA").replace(b"\0\1\0\1\0\0", b"\0\1\0\2\0\0"), "premultiplied alpha"),
        (jp2() + boxes.written(b"jp2c", jp2(no_jp2=True)), "has 2 codestreams"),
        (jp2()[: len(jp2()) // 2], "truncated"),
        (jp2(no_jp2=True)[:2000], "damaged or not supported"),
        (jp2()[:60], "truncated"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, data)


def test_too_many_pixels(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(jp2())
    with pytest.raises(InvalidInput, match=r"it has 1,395 pixels, .* 1,394"):
        negate.negate_file(tmp_path / "source", tmp_path / "target", 1394)
