"""HEIC, where a pipeline's parameter `formats` asks for it, in the processes of a machine."""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from tests.worker.face_finder import FACE, PORTRAIT
from tests.worker.heif_files import Item, auxiliary, written
from tests.worker.pictures import encode, picture
from tests.worker.prepared import prepared
from worker.errors import InvalidInput, UploadDeferred
from worker.sandbox.policy import make_pool
from worker.sandbox.pool import TransformPool
from worker.settings import Limits, Pipeline
from worker.transforms import FOLDER, Input, find, negate, thumbnail
from worker.transforms.pictures import boxes, heif

pytestmark = pytest.mark.usefixtures("compiled")
ENABLED = '{"formats": ["heic"]}'
DEPTH = "urn:mpeg:hevc:2015:auxid:2"
GAIN_MAP = "urn:com:apple:photo:2020:aux:hdrgainmap"


@dataclass(frozen=True)
class Made:
    """What a transform made of a picture."""

    data: bytes
    content_type: str
    notes: list[str]


Runner = Callable[..., Made]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder, pools = tmp_path_factory.mktemp("heic"), dict[str, TransformPool]()

    def run_(transform: str, data: bytes, parameters: str = ENABLED) -> Made:
        if transform + parameters not in pools:
            pipeline = Pipeline("p", transform, "in", "out", parameters, limits=Limits())
            environment = prepared(pipeline)
            pools[transform + parameters] = make_pool(pipeline, environment, folder, 1)
        source = folder / "source"
        source.write_bytes(data)
        made = pools[transform + parameters].run([source], ["photo.heic"])
        ((path, content_type),) = made.files
        return Made(path.read_bytes(), content_type, list(made.notes))

    yield run_
    for pool in pools.values():
        pool.close()


def heic(image: Image.Image, **options: Any) -> bytes:
    """Return a file with a picture."""
    buffer = BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=60, **options)
    return buffer.getvalue()


def samples(data: bytes, picture_number: int = 0) -> tuple[tuple[int, int], int, list[int]]:
    """Return a picture's size, bits, and all its samples."""
    image = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)[picture_number]
    wide = image.info["bit_depth"] > 8
    raw, bits = bytes(image.data), int(image.info["bit_depth"])
    values = list(memoryview(raw).cast("H")) if wide else list(raw)
    return image.size, bits, [value >> (16 - bits) for value in values] if wide else values


def error(data: bytes, result: bytes, number: int = 0) -> float:
    """Return how far a result is from the negative, in levels of 256 and in the mean."""
    size, bits, before = samples(data, number)
    its_size, its_bits, after = samples(result, number)
    assert (size, bits) == (its_size, its_bits)
    top = (1 << bits) - 1
    total = sum(abs(top - a - b) for a, b in zip(before, after, strict=True))
    return total / len(before) * 255 / top


def deep(bits: int) -> bytes:
    """Return a file of so many bits per channel."""
    values = [int(32767 * (1 + math.sin(at / 700))) for at in range(64 * 48 * 3)]
    raw, buffer = b"".join(value.to_bytes(2, "little") for value in values), BytesIO()
    options = {"quality": 80, "bit_depth": bits, "chroma": 444, "color_primaries": 9}
    options |= {"transfer_characteristics": 16, "matrix_coefficients": 9, "full_range_flag": 0}
    pillow_heif.encode("RGB;16", (64, 48), raw, buffer, **options)
    return buffer.getvalue()


def half(data: bytes) -> bytes:
    """Return a file whose second half was not written."""
    return data[: len(data) // 2].ljust(len(data), b"\0")


def zeroed(data: bytes) -> bytes:
    """Return a file whose coded data are zeros."""
    start = data.index(b"mdat") + 4
    return data[:start] + bytes(len(data) - start)


@pytest.mark.parametrize(
    "make",
    [
        lambda: heic(picture(1, (64, 48))),
        lambda: heic(picture(1, (67, 45))),
        lambda: heic(picture(1, (3, 5))),
        lambda: heic(picture(1, (64, 48)).convert("L")),
        lambda: heic(picture(1, (64, 48)), subsampling="4:4:4"),
        lambda: heic(picture(1, (64, 48)), subsampling="4:2:2", full_range_flag=0),
        lambda: heic(picture(1, (64, 48)), matrix_coefficients=1, full_range_flag=0),
        lambda: heic(picture(1, (160, 100)), tile_size=64),
        lambda: deep(10),
        lambda: deep(12),
    ],
    ids=["even", "odd", "tiny", "gray", "444", "422", "limited", "grid", "10 bits", "12 bits"],
)
def test_the_negative(run: Runner, make: Callable[[], bytes]) -> None:
    data = make()
    made = run("negate", data)
    assert (made.content_type, made.notes) == ("image/heic", ["lossy HEIC encoded again"])
    assert error(data, made.data) < 2
    before, after = (pillow_heif.open_heif(each)[0].info for each in (data, made.data))
    assert before == after


def test_metadata_orientation_and_alpha_are_kept(run: Runner) -> None:
    image = picture(1, (64, 48))
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[274], exif[271] = 6, "Maker"
    data = heic(image, exif=exif.tobytes(), xmp=b"<x:xmpmeta/>", icc_profile=bytes(200))
    made = run("negate", data)
    before, after = (pillow_heif.open_heif(each)[0] for each in (data, made.data))
    assert before.info == after.info
    assert before.info["icc_profile"] == bytes(200)
    assert before.mode == after.mode == "RGBA"
    assert before.size == after.size == (48, 64)
    assert bytes(before.data)[3::4] == bytes(after.data)[3::4]


def test_further_pictures_and_thumbnails_are_negated(run: Runner) -> None:
    both, buffer = pillow_heif.HeifFile(), BytesIO()
    for number in (1, 2):
        both.add_from_pillow(picture(number, (64, 40 + 8 * number)))
    both[0].info["thumbnails"] = [32]
    both.save(buffer, quality=60)
    data = buffer.getvalue()
    made = run("negate", data)
    for number in (0, 1):
        assert error(data, made.data, number) < 2
    before, after = (heif.read(memoryview(each)) for each in (data, made.data))
    assert before.references == after.references


def test_what_a_phone_adds(run: Runner) -> None:
    """A gain map and a depth map of the picture, and the video of a motion photo."""
    items = []
    for image in (picture(1, (64, 48)), picture(2, (32, 24)).convert("L")):
        file = heif.read(memoryview(heic(image)))
        item = file.items[file.primary]
        properties = [(e, file.properties[i - 1]) for e, i in item.properties]
        items.append(Item(b"hvc1", item.data, properties))
    shown, small = items
    depth, gain_map = (auxiliary(small, kind, of=1) for kind in (DEPTH, GAIN_MAP))
    data = written({1: shown, 2: depth, 3: gain_map}).replace(b"avif", b"heic")
    made = run("negate", data + boxes.written(b"mpvd", b"film"))
    assert made.notes == [
        "lossy HEIC encoded again",
        "its gain map was negated as well",
        "dropped the motion photo's video",
    ]
    after = heif.read(memoryview(made.data))
    assert after.items[2].data == depth.data
    assert after.items[3].data != gain_map.data
    assert error(data, made.data) < 2


def test_a_thumbnail(run: Runner) -> None:
    exif = Image.Exif()
    exif[274], exif[271] = 6, "Maker"
    made = run(
        "thumbnail",
        heic(picture(1, (64, 48)), exif=exif.tobytes()),
        '{"formats": ["heic"], "width": 12, "format": "jpeg"}',
    )
    assert made.content_type == "image/jpeg"
    assert Image.open(BytesIO(made.data)).size == (12, 16)
    assert made.notes == ["dropped EXIF"]
    made = run("thumbnail", deep(10), ENABLED)
    assert "reduced to 8 bits per channel" in made.notes
    assert made.content_type == "image/png"


@pytest.mark.long
def test_a_face(run: Runner) -> None:
    parameters = '{"formats": ["heic"], "format": "jpeg"}'
    made = run("faces", heic(PORTRAIT.convert("RGB")), parameters)
    left, _, right, _ = FACE
    assert made.content_type == "image/jpeg"
    assert abs(Image.open(BytesIO(made.data)).width - 1.4 * (right - left)) < 20


@pytest.mark.parametrize("transform", ["negate", "thumbnail"])
def test_without_the_parameter_the_reason_says_how_to_go_on(run: Runner, transform: str) -> None:
    remedy = (
        r"add formats: \[heic\] to the pipeline's parameters, then run '\./pipeline up' and "
        r"'\./pipeline jobs retry --reason HEIC'$"
    )
    with pytest.raises(InvalidInput, match=remedy):
        run(transform, heic(picture()), "{}")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (heic(picture(1, (64, 48)))[:-9], "truncated"),
        (heic(picture(1, (64, 48)), matrix_coefficients=0, chroma=444), "coded as RGB"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "has no boxes meta"),
        (
            b"\0\0\0\x18ftyphevc\0\0\0\0msf1hevc" + boxes.written(b"moov", b""),
            "image sequences",
        ),
    ],
    ids=["truncated", "RGB", "empty", "sequence"],
)
def test_refused(run: Runner, data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        run("negate", data)


@pytest.mark.parametrize(
    "transform", ["negate", "thumbnail", pytest.param("faces", marks=pytest.mark.long)]
)
@pytest.mark.parametrize(
    "data",
    [
        half(heic(picture(1, (301, 200)))),
        half(heic(picture(1, (301, 200)), tile_size=64)),
        zeroed(heic(picture(1, (301, 200)))),
    ],
    ids=["half", "half of the tiles", "all"],
)
def test_files_with_holes_are_refused(run: Runner, transform: str, data: bytes) -> None:
    """Libde265 makes up what is missing."""
    with pytest.raises(InvalidInput, match="HEIC's picture data are damaged: a part is missing"):
        run(transform, data)


def test_a_still_of_a_sequence_has_a_thumbnail(run: Runner) -> None:
    data = heic(picture(1, (64, 48))) + boxes.written(b"moov", b"")
    assert run("thumbnail", data).content_type == "image/png"
    with pytest.raises(InvalidInput, match="image sequences"):
        run("negate", data)


def test_other_formats_are_taken_as_before(run: Runner) -> None:
    assert run("negate", encode(picture(), "PNG")).content_type == "image/png"


@pytest.mark.parametrize(
    ("transform", "usual", "with_heic"),
    [
        ("negate", None, "pictures/heic/requirements.txt"),
        ("thumbnail", None, "pictures/heic/requirements.txt"),
        ("faces", "faces/requirements.txt", "faces/heic/requirements.txt"),
    ],
)
def test_packages_are_needed_for_the_parameter_only(
    transform: str, usual: str | None, with_heic: str
) -> None:
    found = find(transform)
    assert found.requirements(found.read({})) == (FOLDER / usual if usual else None)
    assert found.requirements(found.read({"formats": ["heic"]})) == FOLDER / with_heic


@pytest.mark.parametrize("transform", [negate, thumbnail])
def test_a_missing_package_is_no_fault_of_the_file(
    transform: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    source = tmp_path / "photo.heic"
    source.write_bytes(heic(picture(1, (64, 48))))
    parameters = find(transform.__name__.rpartition(".")[2]).read({"formats": ["heic"]})
    with pytest.raises(UploadDeferred, match="pillow-heif, which is missing"):
        transform.apply([Input(source, source.name, 10_000)], tmp_path, parameters)
