"""WebP: frames one by one; all of the container but pixels stays."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.fuzz.seeds import exif
from tests.worker.negation import MAX_PIXELS, negative
from tests.worker.pictures import decode, encode, error, picture
from worker.errors import InvalidInput
from worker.transforms import negate

pytestmark = pytest.mark.usefixtures("compiled")
WIDTH, HEIGHT = 8, 6
SIZE = (WIDTH - 1).to_bytes(3, "little") + (HEIGHT - 1).to_bytes(3, "little")
ANIMATED, ALPHA, METADATA = 0x02, 0x10, 0x0C
BLEND, DISPOSE = 0, 1


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk."""
    return kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def webp(*chunks: bytes) -> bytes:
    """Return a file."""
    return chunk(b"RIFF", b"WEBP" + b"".join(chunks))


def coded(image: Image.Image, *, lossless: bool = True) -> bytes:
    """Return the chunks of a coded picture."""
    data = encode(image, "WEBP", lossless=lossless, exact=True)[12:]
    if data.startswith(b"VP8X"):
        data = data[18:]
    return data


def frame(pixels: bytes, duration: int, flags: int = 0, size: bytes = SIZE) -> bytes:
    """Return a frame at the position (4, 2)."""
    position = b"\2\0\0\1\0\0"
    return chunk(
        b"ANMF", position + size + duration.to_bytes(3, "little") + bytes([flags]) + pixels
    )


def animation(*frames: bytes, loops: int = 3) -> bytes:
    """Return an animation of 12 × 8 pixels."""
    canvas = bytes([ANIMATED | ALPHA, 0, 0, 0, 11, 0, 0, 7, 0, 0])
    anim = b"\1\2\3\4" + loops.to_bytes(2, "little")
    return webp(chunk(b"VP8X", canvas), chunk(b"ANIM", anim), *frames)


def with_alpha(seed: int, alpha: Image.Image | int) -> Image.Image:
    """Return a picture with alpha."""
    image = picture(seed, (WIDTH, HEIGHT), "RGB").convert("RGBA")
    image.putalpha(alpha)
    return image


def small(seed: int) -> Image.Image:
    """Return a picture of the size of a frame."""
    return picture(seed, (WIDTH, HEIGHT))


def frames(data: bytes) -> list[tuple[Image.Image, int]]:
    """Return each frame as it is shown, and its duration."""
    found = []
    with Image.open(BytesIO(data)) as image:
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            found.append((image.convert("RGBA"), image.info["duration"]))
    return found


@pytest.mark.parametrize("seeds", [[1, 1, 1], [1, 2, 2], [1, 2, 1]])
@pytest.mark.parametrize("lossless", [False, True])
def test_equal_frames_keep_their_number_and_timing(
    seeds: list[int], lossless: bool, tmp_path: Path
) -> None:
    pictures = [coded(small(seed), lossless=lossless) for seed in seeds]
    data = animation(*(frame(each, 40 + number) for number, each in enumerate(pictures)))
    once = negative(tmp_path, data)
    before, after = frames(data), frames(once)
    assert [duration for _, duration in after] == [40, 41, 42]
    for (old, _), (new, _) in zip(before, after, strict=True):
        assert old.getchannel("A").tobytes() == new.getchannel("A").tobytes()
        inside = (4, 2, 12, 8)
        old, new = old.crop(inside), new.crop(inside)  # noqa: PLW2901
        assert error(ImageChops.invert(old.convert("RGB")), new) <= (0 if lossless else 32)
    with Image.open(BytesIO(once)) as image:
        assert image.info["loop"] == 3


def test_the_container_stays_byte_for_byte(tmp_path: Path) -> None:
    alpha = picture(5, (WIDTH, HEIGHT), "L")
    parts = [
        frame(coded(with_alpha(1, alpha)) + chunk(b"FOO ", b"abc"), 10, DISPOSE),
        frame(coded(with_alpha(2, alpha)), 20, 2),
        frame(coded(small(3)), 30),
    ]
    data = animation(
        chunk(b"ICCP", b"a profile"), *parts, chunk(b"XMP ", b"<x/>"), chunk(b"BAR ", b"unknown")
    )
    once = negative(tmp_path, data)
    assert frames(negative(tmp_path, once)) == frames(data)
    for part in (
        b"ANIM\6\0\0\0\1\2\3\4\3\0",
        b"a profile",
        b"<x/>",
        b"unknown",
        b"FOO \3\0\0\0abc",
    ):
        assert part in once
    headers = [each[8:24] for each in parts]
    assert [once.count(header) for header in headers] == [1, 1, 1]
    for old, new in zip(frames(data), frames(once), strict=True):
        assert old[1] == new[1]


def test_alpha_of_a_lossy_picture_stays_byte_for_byte(tmp_path: Path) -> None:
    image = picture(1, (64, 48), "RGB").convert("RGBA")
    image.putalpha(picture(5, (64, 48), "L"))
    data = encode(image, "WEBP", quality=80)
    once = negative(tmp_path, data)
    at = data.index(b"ALPH")
    size = 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    assert data[at : at + size] in once
    assert error(ImageChops.invert(decode(data).convert("RGB")), decode(once)) <= 24


def test_opaque_alpha_stays_alpha(tmp_path: Path) -> None:
    data = bytearray(webp(coded(small(1))))
    data[24] |= 0x10  # the flag of alpha in lossless data
    assert decode(bytes(data)).mode == "RGBA"
    once = decode(negative(tmp_path, bytes(data)))
    assert once.mode == "RGBA"
    assert once.getchannel("A").getextrema() == (255, 255)
    assert error(once, ImageChops.invert(small(1))) == 0


def test_exif_stays_with_its_prefix(tmp_path: Path) -> None:
    canvas = chunk(b"VP8X", bytes([METADATA, 0, 0, 0]) + SIZE)
    block = exif(b"")
    for stored in (block, block[6:]):
        once = negative(tmp_path, webp(canvas, coded(small(1)), chunk(b"EXIF", stored)))
        assert chunk(b"EXIF", stored) in once


@pytest.mark.parametrize(
    ("lossless", "tail", "notes"),
    [
        (True, b"", []),
        (False, b"", ["encoded 1 lossy picture again with quality 90"]),
        (True, b"tail", ["dropped 4 bytes after its end"]),
    ],
)
def test_notes(lossless: bool, tail: bytes, notes: list[str], tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(webp(coded(small(1), lossless=lossless)) + tail)
    assert negate.negate_file(source, target, MAX_PIXELS) == ("image/webp", notes)


def test_content_credentials_are_dropped_with_a_note(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(webp(coded(small(1)), chunk(b"C2PA", b"a manifest")))
    (note,) = negate.negate_file(source, target, MAX_PIXELS)[1]
    assert note.startswith("content credentials (C2PA) were dropped")
    assert b"C2PA" not in target.read_bytes()


WHOLE = webp(coded(small(1)))
REFUSED: dict[str, tuple[bytes, str]] = {
    "truncated": (WHOLE[:-2], "truncated"),
    "a chunk beyond the end": (
        WHOLE[:16] + (len(WHOLE)).to_bytes(4, "little") + WHOLE[20:],
        "truncated",
    ),
    "no picture": (webp(chunk(b"XMP ", b"<x/>")), "no picture"),
    "a frame without picture": (
        animation(frame(coded(small(1)), 1), frame(b"", 1)),
        "a frame without a picture",
    ),
    "a frame of another size": (
        animation(frame(coded(small(1)), 1, size=bytes(6))),
        "header is invalid",
    ),
    "damaged data": (WHOLE[:26] + bytes(len(WHOLE) - 26), "damaged or not supported"),
    "damaged header": (WHOLE.replace(b"\x2f", b"\x2e", 1), "header is invalid"),
    "no height": (
        webp(chunk(b"VP8 ", bytes.fromhex("d00300 9d012a 0d00 0000") + bytes(30))),
        "header is invalid",
    ),
    "large": (
        webp(*[chunk(b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(9))] * 2),
        "536,870,912 pixels",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, data)
