"""The pixels equal those of `convert -negate`, for all modes and formats.

Lossless formats are compared exactly, at 16 bits and under transparent pixels too. A JPEG's
negative is compared with ImageMagick's negative of the decoded picture, whose rounding no coded
file can match: at most LARGEST levels for any pixel.
"""

import itertools
import struct
import subprocess
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms

from bench.imagemagick import find_convert
from tests.fuzz.seeds import DC_BY_BITS, raw_png
from tests.worker.negation import convert, negative
from tests.worker.pictures import decode, encode, error, picture
from worker.errors import InvalidInput

pytestmark = [
    pytest.mark.skipif(find_convert() is None, reason="no ImageMagick"),
    pytest.mark.usefixtures("compiled"),
]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "images"
LARGEST = 5
needs_pictures = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/images")

# Intended differences from ImageMagick (or from PngSuite's reference): file, expectation, reason.
DIFFERENT = {
    "jpeg/truncated": (
        "refused",
        "a truncated file is a failed upload; ImageMagick fills it with gray",
    ),
    "png/animated": ("all frames", "ImageMagick 6 keeps the first frame only"),
    "webp/animated": ("all frames, exact", "ImageMagick 6 loses the times"),
    "pngsuite/tbbn0g04": ("as ImageMagick", "the reference has white for the transparent black"),
}


def _jpeg(mode: str = "RGB", size: tuple[int, int] = (83, 59), **options: Any) -> bytes:
    return encode(picture(1, size, mode), "JPEG", **{"quality": 90, **options})


def _lossless(kind: str, mode: str, **options: Any) -> bytes:
    if mode == "I;16":
        image = Image.frombytes(mode, (9, 7), bytes(i * 37 % 256 for i in range(9 * 7 * 2)))
    else:
        image = picture(2, (31, 23), "RGB" if mode in ("LA", "RGBA") else mode)
    if mode in ("LA", "RGBA"):
        image = image.convert(mode)
        image.putalpha(picture(3, (31, 23), "L"))
    return encode(image, kind, **options)


def _frames(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    frames = [picture(seed, (20, 14), mode) for seed in (4, 5, 6)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def _sampled(factors: str) -> bytes:
    """Return a JPEG with ImageMagick's sampling factors: Pillow writes no 4:4:0 and 4:1:1."""
    program = find_convert()
    assert program
    command = [program, "png:-", "-sampling-factor", factors, "jpeg:-"]
    image = encode(picture(7, (83, 59)), "PNG")
    return subprocess.run(command, input=image, capture_output=True, check=True).stdout


def _ycck() -> bytes:
    """Return a CMYK file marked as YCCK by Adobe's marker (T.872, 6.5.3), transform 2."""
    data = _jpeg("CMYK")
    at = data.index(b"Adobe") + 11
    return data[:at] + b"\2" + data[at + 1 :]


_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_ORIENTATION = {
    n: b"Exif\0\0" + struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x112, 3, 1, n, 0, 0)
    for n in range(1, 9)
}
JPEGS: dict[str, Callable[[], bytes]] = {
    **{
        f"jpeg/{mode}-{progressive}": partial(_jpeg, mode, progressive=progressive)
        for mode, progressive in itertools.product(("L", "RGB", "CMYK"), (False, True))
    },
    **{
        f"jpeg/4:{('44', '22', '20')[s]}-{q}": partial(_jpeg, subsampling=s, quality=q)
        for s, q in itertools.product((0, 1, 2), (75, 85, 95, 100))
    },
    **{f"jpeg/{f}": partial(_sampled, f) for f in ("4:4:0", "4:1:1", "1x2", "4x1,1x1,1x1")},
    **{
        f"jpeg/{w}x{h}": partial(_jpeg, size=(w, h), progressive=bool(w % 2))
        for w, h in ((1, 1), (7, 9), (8, 8), (16, 17), (255, 3))
    },
    **{f"jpeg/orientation-{n}": partial(_jpeg, exif=_ORIENTATION[n]) for n in _ORIENTATION},
    "jpeg/restarts": partial(_jpeg, restart_marker_blocks=3),
    "jpeg/restarts-progressive": partial(_jpeg, restart_marker_rows=1, progressive=True),
    "jpeg/rgb": partial(_jpeg, keep_rgb=True),
    "jpeg/icc": partial(_jpeg, icc_profile=_ICC),
    "jpeg/optimized": partial(_jpeg, optimize=True),
    "jpeg/ycck": _ycck,
    "jpeg/dc by bits": lambda: DC_BY_BITS,
}
LOSSLESS: dict[str, Callable[[], bytes]] = {
    **{
        f"png/{m}": partial(_lossless, "PNG", m)
        for m in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    },
    **{
        f"png/{k}-{d}-{i}": partial(raw_png, k, d, i)
        for k, d, i in itertools.product((0, 2, 4, 6), (8, 16), (0, 1))
    },
    "png/icc": partial(_lossless, "PNG", "RGB", icc_profile=_ICC),
    "png/key": partial(_lossless, "PNG", "RGB", transparency=(10, 20, 30)),
    "gif/P": partial(_lossless, "GIF", "P"),
    "gif/animated": partial(_frames, "GIF", duration=[50, 70, 90], loop=0),
    **{f"bmp/{m}": partial(_lossless, "BMP", m) for m in ("1", "L", "P", "RGB")},
    **{
        f"tiff/{m}-{c}": partial(_lossless, "TIFF", m, compression=c)
        for m, c in itertools.product(
            ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"), ("raw", "tiff_lzw")
        )
    },
    "tiff/pages": partial(_frames, "TIFF"),
    **{
        f"webp/{m}": partial(_lossless, "WEBP", m, lossless=True, exact=True)
        for m in ("RGB", "RGBA")
    },
    "ppm/RGB": partial(_lossless, "PPM", "RGB"),
}


def _levels(left: bytes, right: bytes) -> int:
    """Return the largest difference in 8-bit levels."""
    assert len(left) == len(right) > 0
    return max(abs(a - b) for a, b in zip(left[1::2], right[1::2], strict=True))


@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_is_near_the_exact_negative_and_reversible(name: str, tmp_path: Path) -> None:
    """Negating twice gives the same bytes, or the same coefficients where a code was missing."""
    data = JPEGS[name]()
    once = negative(tmp_path, data)
    assert _levels(convert(once, "jpeg"), convert(data, "jpeg", "-negate")) <= LARGEST
    twice = negative(tmp_path, once)
    assert convert(twice, "jpeg") == convert(data, "jpeg")
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(once)) as after:
        for kept in ("exif", "icc_profile", "progressive"):
            assert before.info.get(kept) == after.info.get(kept)
        assert before.quantization == after.quantization  # type: ignore[attr-defined]
        assert before.layer == after.layer  # type: ignore[attr-defined]
        lacked_a_code = len(twice) > len(data)
    assert twice == data or (lacked_a_code and name in MAY_LACK_A_CODE)


#: Small files whose optimized tables have no code for some negative's first DC.
MAY_LACK_A_CODE = {name for name in JPEGS if "rogressive" in name or "True" in name or "x" in name}
MAY_LACK_A_CODE |= {"jpeg/optimized"}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_are_exact_and_reversible(name: str, tmp_path: Path) -> None:
    data, kind = LOSSLESS[name](), name.partition("/")[0]
    once = negative(tmp_path, data)
    ours, theirs = convert(once, kind), convert(data, kind, "-negate")
    if name in DIFFERENT:
        assert ours != theirs  # else the list is out of date
        ours, theirs = ours[1::2], theirs[1::2]
    assert ours == theirs != b""
    twice = negative(tmp_path, once)
    assert convert(twice, kind) == convert(data, kind)
    if kind == "gif" or name == "png/P":
        assert twice == data


@needs_pictures
@pytest.mark.parametrize(
    "path", sorted(SHARED.glob("pngsuite/png/*.png")), ids=lambda path: path.stem
)
def test_pngsuite(path: Path, tmp_path: Path) -> None:
    """Corrupt files (x…) are refused; others equal ImageMagick's result and the suite's BMP."""
    data = path.read_bytes()
    if path.stem.startswith("x"):
        with pytest.raises(InvalidInput):
            negative(tmp_path, data)
        return
    once = negative(tmp_path, data)
    assert convert(once, "png") == convert(data, "png", "-negate") != b""
    reference = SHARED / "pngsuite" / "bmp" / f"{path.stem}.bmp"
    if reference.exists() and f"pngsuite/{path.stem}" not in DIFFERENT:
        assert error(_eight_bits(once), ImageChops.invert(_eight_bits(reference.read_bytes()))) <= 1


def _eight_bits(data: bytes) -> Image.Image:
    """Return the samples without alpha, no gamma applied."""
    image = decode(data)
    if image.mode == "I;16":
        image = image.point(lambda value: value / 256).convert("L")
    return image.convert("RGBA").convert("RGB")


@needs_pictures
@pytest.mark.parametrize(
    "path", sorted(SHARED.glob("exif-orientation/*.jpg")), ids=lambda p: p.stem
)
def test_orientation_is_kept_and_not_applied(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    once = negative(tmp_path, data)
    assert _levels(convert(once, "jpeg"), convert(data, "jpeg", "-negate")) <= LARGEST
    assert negative(tmp_path, once) == data
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(once)) as after:
        assert before.getexif().get(0x112) == after.getexif().get(0x112)


def test_truncated_jpeg_is_refused(tmp_path: Path) -> None:
    data = _jpeg(size=(200, 200))
    cut = data[: len(data) * 2 // 3]
    assert convert(cut, "jpeg") != b""  # the positive control: ImageMagick does take it
    with pytest.raises(InvalidInput):
        negative(tmp_path, cut)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_keep_frames_durations_loops_and_alpha(kind: str, tmp_path: Path) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = _frames(kind, "RGBA", duration=[50, 70, 90], loop=2, **options)
    once = negative(tmp_path, data)
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(once)) as after:
        assert before.n_frames == after.n_frames == 3  # type: ignore[attr-defined]
        assert before.info["loop"] == after.info["loop"] == 2
        for number in range(3):
            before.seek(number)
            after.seek(number)
            old, new = before.convert("RGBA").tobytes(), after.convert("RGBA").tobytes()
            complement = bytes(v if i % 4 == 3 else 255 - v for i, v in enumerate(old))
            assert new == complement
            assert before.info["duration"] == after.info["duration"]
