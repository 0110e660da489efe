"""`faces`: boxes and crops of faces in pictures of every kind; what is refused or impossible."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from tests.fuzz.seeds import chunk
from tests.worker.face_finder import DATA, FACE, LIMITS, PORTRAIT, Finder, Found, assert_face
from tests.worker.pictures import decode, encode, error
from tests.worker.pipeline import Pipeline as Deployed
from tests.worker.prepared import PREPARED
from worker import transforms
from worker.errors import InvalidInput, InvalidSettings, TransformCrashed
from worker.settings import Limits
from worker.transforms.output_keys import output_keys

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # stored so, it is shown upright by EXIF's orientation 6
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finder]:
    finder = Finder(tmp_path_factory.mktemp("faces"))
    yield finder
    finder.close()


def assert_crop(found: Found, photo: Image.Image) -> None:
    """Check that the only crop shows the face with an even margin."""
    (result,), (box,) = found.results, found.boxes
    shown, (left, upper, right, lower) = decode(result), box
    across, down = (shown.width - (right - left)) // 2, (shown.height - (lower - upper)) // 2
    expected = photo.crop((left - across, upper - down, right + across, lower + down))
    if shown.mode in ("L", "LA"):
        expected = expected.convert("L")
    small = (12, 15)
    assert error(shown.convert("RGB").resize(small), expected.resize(small)) < 60


def scaled(factor: float) -> tuple[float, ...]:
    return tuple(edge * factor for edge in FACE)


def test_record_and_crop(find: Finder) -> None:
    found = find(encode(PORTRAIT, "JPEG", quality=95))
    assert_face(found)
    (record,), (crop,) = found.records, found.results
    assert record["score"] > 0.9
    assert (record["face"], record["result"]) == (1, 1)
    assert (record["picture_width"], record["picture_height"]) == PORTRAIT.size
    marks = record["landmarks"]
    assert list(marks) == ["left_eye", "right_eye", "nose", "mouth_left", "mouth_right"]
    assert marks["left_eye"][0] < marks["nose"][0] < marks["right_eye"][0]
    assert marks["left_eye"][1] < marks["nose"][1] < marks["mouth_left"][1]
    # The margin is a fifth of the box at each side.
    width, height = record["width"], record["height"]
    shown = decode(crop)
    assert found.types == ["image/jpeg"]
    assert abs(shown.width - width * 1.4) <= 2
    assert abs(shown.height - height * 1.4) <= 2
    assert_crop(found, PORTRAIT)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_boxes_and_crops_are_upright(find: Finder, orientation: int, kind: str) -> None:
    turn = TURNS[orientation]
    photo = PORTRAIT.crop((60, 0, 460, 300))
    stored = photo.transpose(turn) if turn is not None else photo
    exif = Image.Exif()
    exif[274] = orientation
    options = {"quality": 95} if kind == "JPEG" else {}
    found = find(encode(stored, kind, exif=exif.tobytes(), **options))
    assert_face(found, (122, 58, 210, 178))
    assert (found.records[0]["picture_width"], found.records[0]["picture_height"]) == photo.size
    assert_crop(found, photo)
    assert not decode(found.results[0]).getexif()


def png_of_16_bits(image: Image.Image) -> bytes:
    """Return a PNG in RGB with 16 bits per channel."""
    rows = b""
    for y in range(image.height):
        row = image.crop((0, y, image.width, y + 1)).tobytes()
        twice = bytearray(2 * len(row))
        twice[::2] = twice[1::2] = row
        rows += b"\0" + twice
    header = struct.pack(">IIBBBBB", *image.size, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def transparent(image: Image.Image) -> Image.Image:
    """Return a picture whose lower part is transparent, where the stored colors are noise."""
    result = image.convert("RGBA")
    noise = Image.effect_noise((image.width, 212), 200).convert("RGBA")
    noise.putalpha(0)
    result.paste(noise, (0, 300))
    return result


def deep_gray(image: Image.Image) -> Image.Image:
    """Return a picture of 16 bits, gray, none of which is below 256."""
    gray = image.convert("L").tobytes()
    return Image.frombytes("I;16", image.size, bytes(v for byte in gray for v in (byte, byte)))


KINDS = {
    "gray JPEG": (encode(PORTRAIT.convert("L"), "JPEG"), "image/jpeg", "L"),
    "CMYK JPEG": (encode(PORTRAIT.convert("CMYK"), "JPEG"), "image/jpeg", "CMYK"),
    "progressive JPEG": (encode(PORTRAIT, "JPEG", progressive=True), "image/jpeg", "RGB"),
    "palette PNG": (encode(PORTRAIT.quantize(256), "PNG"), "image/png", "RGB"),
    "PNG with alpha": (encode(transparent(PORTRAIT), "PNG"), "image/png", "RGBA"),
    "PNG of 16 bits": (png_of_16_bits(PORTRAIT), "image/png", "RGB"),
    "gray PNG of 16 bits": (encode(deep_gray(PORTRAIT), "PNG"), "image/png", "I;16"),
    "TIFF": (encode(PORTRAIT, "TIFF"), "image/tiff", "RGB"),
    "CMYK TIFF": (encode(PORTRAIT.convert("CMYK"), "TIFF"), "image/tiff", "CMYK"),
    "GIF": (encode(PORTRAIT, "GIF"), "image/gif", "P"),
    "WebP": (encode(PORTRAIT, "WEBP"), "image/webp", "RGB"),
    "BMP": (encode(PORTRAIT, "BMP"), "image/bmp", "RGB"),
    "PPM": (encode(PORTRAIT, "PPM"), "image/x-portable-anymap", "RGB"),
    "AVIF": (encode(PORTRAIT, "AVIF"), "image/png", "RGB"),
    "JPEG 2000": (encode(PORTRAIT, "JPEG2000"), "image/png", "RGB"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_pictures(find: Finder, kind: str) -> None:
    data, content_type, mode = KINDS[kind]
    found = find(data)
    assert_face(found)
    assert found.types == [content_type]
    assert decode(found.results[0]).mode == mode
    if mode != "I;16":
        assert_crop(found, PORTRAIT)


def test_no_face_is_done_without_results(find: Finder) -> None:
    found = find((DATA / "cat.jpg").read_bytes(), '{"annotate": true}')
    assert (found.results, found.records, found.notes) == ([], [], ["no face found"])


def test_several_faces_are_numbered_by_score_as_their_keys_are(find: Finder) -> None:
    face = PORTRAIT.crop((130, 10, 330, 230))
    group = Image.new("RGB", (900, 300), (90, 120, 140))
    for number, size in enumerate(((200, 220), (150, 165), (100, 110))):
        group.paste(face.resize(size), (50 + 300 * number, 40))
    found = find(encode(group, "PNG"))
    assert len(found.records) == len(found.results) == 3
    assert [each["result"] for each in found.records] == [1, 2, 3]
    scores = [each["score"] for each in found.records]
    assert scores == sorted(scores, reverse=True)
    assert {each["x"] // 300 for each in found.records} == {0, 1, 2}
    for record, result in zip(found.records, found.results, strict=True):
        assert abs(decode(result).width - 1.4 * record["width"]) <= 2
    pattern = transforms.describe("faces").output_key
    keys = output_keys(pattern, "2026/group.png", found.types, "run")
    assert keys == [f"2026/group.png.{number}.png" for number in (1, 2, 3)]


def test_a_single_face_has_a_number_in_its_key() -> None:
    pattern = transforms.describe("faces").output_key
    assert output_keys(pattern, "cat.jpg", ["image/jpeg"], "run") == ["cat.jpg.1.jpg"]


def test_annotated_picture_is_the_last_result(find: Finder) -> None:
    found = find(encode(PORTRAIT, "PNG"), '{"annotate": true}')
    assert found.types == ["image/png"] * 2
    (record,), marked = found.records, decode(found.results[1])
    assert record["result"] == 1
    assert marked.size == PORTRAIT.size
    difference = error(marked.crop((0, 220, 512, 512)), PORTRAIT.crop((0, 220, 512, 512)))
    assert difference == 0
    x, y = record["x"] + record["width"] // 2, record["y"]
    around = marked.crop((x - 5, y - 2, x + 5, y + 4))
    assert error(around, PORTRAIT.crop((x - 5, y - 2, x + 5, y + 4))) > 100


def test_records_alone(find: Finder) -> None:
    found = find(encode(PORTRAIT, "JPEG"), '{"crops": false}')
    assert_face(found)
    assert (found.results, found.records[0]["result"]) == ([], None)


def test_format_quality_and_margin(find: Finder) -> None:
    png = find(encode(PORTRAIT, "JPEG"), '{"format": "png", "margin": 0}')
    assert png.types == ["image/png"]
    record = png.records[0]
    assert decode(png.results[0]).size == (record["width"], record["height"])
    data = encode(PORTRAIT, "PNG")
    coarse, fine = (
        find(data, f'{{"format": "jpeg", "quality": {quality}}}').results[0] for quality in (20, 95)
    )
    assert decode(coarse).format == "JPEG"
    assert 3 * len(coarse) < len(fine)


def test_crops_end_at_the_edges_of_the_picture(find: Finder) -> None:
    found = find(encode(PORTRAIT.crop((200, 60, 300, 190)), "PNG"), '{"margin": 2}')
    (left, upper, right, lower), size = found.boxes[0], decode(found.results[0]).size
    assert min(left, upper) >= 0
    assert right <= 100
    assert lower <= 130
    assert size == (100, 130)


def test_the_color_profile_is_kept_and_metadata_is_not(find: Finder) -> None:
    exif = Image.Exif()
    exif[271] = "camera maker"
    exif.get_ifd(34853)[1] = "N"
    data = encode(PORTRAIT, "JPEG", exif=exif.tobytes(), icc_profile=PROFILE, comment=b"private")
    found = find(data, '{"annotate": true}')
    for result in found.results:
        shown = Image.open(BytesIO(result))
        assert shown.info["icc_profile"] == PROFILE
        assert not shown.getexif()
        assert b"camera maker" not in result
        assert b"private" not in result
    assert found.notes == ["dropped EXIF, GPS, a comment"]


def test_small_and_large_faces(find: Finder) -> None:
    # 3,072 pixels are reduced to 640 to be searched, the crop has all of them.
    large = PORTRAIT.resize((3072, 3072))
    for kind in ("JPEG", "PNG"):
        found = find(encode(large, kind, compress_level=1))
        assert_face(found, scaled(6))
        assert decode(found.results[0]).width > 600
    wide = Image.new("RGB", (4000, 250))
    wide.paste(PORTRAIT.resize((250, 250)), (3000, 0))
    data = encode(wide, "JPEG", quality=95)
    assert find(data).notes == ["no face found"]
    (x, _, _, _), *others = find(data, '{"maxSide": 4000}').boxes
    assert not others
    assert x == pytest.approx(3000 + FACE[0] * 250 / 512, abs=6)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (31, 33)])
def test_tiny_pictures_have_no_face(find: Finder, size: tuple[int, int]) -> None:
    assert find(encode(Image.new("RGB", size, "gray"), "PNG")).records == []


def test_least_score(find: Finder) -> None:
    photographer = (DATA / "photographer.png").read_bytes()
    assert 0.6 < find(photographer).records[0]["score"] < 0.9
    assert find(photographer, '{"minScore": 0.9}').records == []


def test_further_frames_are_named(find: Finder) -> None:
    blank = Image.new("RGB", PORTRAIT.size)
    found = find(encode(PORTRAIT, "GIF", save_all=True, append_images=[blank, PORTRAIT]))
    assert_face(found)
    assert "dropped 2 further frames" in found.notes


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"text", "not a picture in a supported format"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(50), "camera raw files"),
        (encode(PORTRAIT, "JPEG")[:9000], "the JPEG is damaged or not supported"),
    ],
)
def test_what_is_not_a_picture_is_refused(find: Finder, data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        find(data)
    assert_face(find(encode(PORTRAIT, "JPEG")))


def test_limits(find: Finder) -> None:
    limits = replace(LIMITS, pixels=200_000)
    with pytest.raises(InvalidInput, match=r"limits\.pixels, 200,000"):
        find(encode(PORTRAIT, "JPEG"), limits=limits)
    large = encode(PORTRAIT.resize((3000, 3000)), "JPEG")
    with pytest.raises((InvalidInput, TransformCrashed), match="more memory than limits"):
        find(large, '{"maxSide": 3000}', Limits(700))
    assert_face(find(encode(PORTRAIT, "JPEG"), '{"maxSide": 3000}', Limits(700)))


def test_results_are_the_same_at_each_run(find: Finder) -> None:
    data = encode(PORTRAIT, "JPEG")
    first, second = find(data, '{"annotate": true}'), find(data, '{"annotate": true}')
    assert first == second


def test_view_of_faces_names_their_crops(versioned: Deployed) -> None:
    versioned.environment = {"PREPARED_DIRECTORY": str(PREPARED)}
    versioned.configure(pipeline={"transform": "faces"})
    versioned.migrate()
    assert versioned.run("prepare").returncode == 0
    for name in ("astronaut.jpg", "cat.jpg"):
        versioned.put(f"2026/{name}", (DATA / name).read_bytes())
    versioned.drain()
    assert versioned.left() == []
    (face,) = versioned.sql("SELECT * FROM pipeline.faces", user=versioned.user)
    box = (face["x"], face["y"], face["x"] + face["width"], face["y"] + face["height"])
    assert box == pytest.approx(FACE, abs=12)
    assert face["score"] > 0.9
    assert set(face["landmarks"]) >= {"nose", "left_eye"}
    assert (face["key"], face["face"]) == ("2026/astronaut.jpg", 1)
    assert face["result_key"] == "2026/astronaut.jpg.1.jpg"
    crop = decode(versioned.get(face["result_key"]))
    assert crop.width > face["width"]
    assert versioned.keys(versioned.output) == [face["result_key"]]
    states = {row["key"]: row["outcome"] for row in versioned.rows()}
    assert states == {"2026/astronaut.jpg": "done", "2026/cat.jpg": "done"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"minScore": 2}, "minScore is 2: set it to a number from 0.05 to 1."),
        ({"maxSide": 8000}, "maxSide is 8000: set it to a whole number from 64 to 4096."),
        ({"format": "gif"}, "format is 'gif': set it to one of same, jpeg, png, webp."),
        ({"margins": 1}, "margins is not a parameter of this transform: did you mean margin?"),
    ],
)
def test_wrong_parameters(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        transforms.find("faces").read(given)
    assert str(refused.value) == sentence
