"""Files of which a negative would lose something are refused, or deferred until kernels exist.

Each refused file has a sibling without the refused property, which is negated.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.fuzz.seeds import chunk, exif, raw_png
from tests.worker.negation import negative
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import ROOT, Pipeline
from tests.worker.tiff_files import ASCII, BYTE, LONG, RATIONAL, SHORT, UNDEFINED, Page, tiff
from worker.errors import InvalidInput, UploadDeferred
from worker.transforms.negate import kernels

pytestmark = pytest.mark.usefixtures("compiled")
CASES = ROOT.parent / "shared" / "cases"
PREVIEW = encode(picture(11, (32, 24)), "JPEG", quality=85)


def rgb(**changes: int) -> Page:
    """Return a page of 8 × 6 pixels, by default RGB with 8 bits."""
    channels, bits = changes.get("channels", 3), changes.get("bits", 8)
    fields: dict[int, tuple[int, tuple[int, ...] | bytes]] = {
        258: (SHORT, (bits,) * channels),
        262: (SHORT, (changes.get("photometric", 2),)),
        277: (SHORT, (channels,)),
    }
    size = 48 * channels * bits // 8
    return Page(fields, [bytes(i * 7 % 251 for i in range(size))])


def having(page: Page, tag: int, kind: int, values: tuple[int, ...] | bytes) -> Page:
    """Return the page with another field."""
    page.fields[tag] = (kind, values)
    return page


def planar(page: Page) -> Page:
    """Return the page with a plane for each channel."""
    whole, channels = page.segments[0], len(page.fields[258][1])
    size = len(whole) // channels
    page.segments = [whole[i : i + size] for i in range(0, len(whole), size)]
    return having(page, 284, SHORT, (2,))


def tiled(page: Page, tiles: int = 1) -> Page:
    """Return the page as a tile of 16 × 16 pixels, repeated more often than it should be."""
    row = len(page.segments[0]) // 6
    rows = [page.segments[0][i : i + row].ljust(2 * row, b"\0") for i in range(0, 6 * row, row)]
    tile = b"".join(rows).ljust(32 * row, b"\0")
    return Page(page.fields, [tile] * tiles, tiled=True)


def page_2(page: Callable[[], Page]) -> Callable[[], bytes]:
    """Return a maker of a file with this second page."""
    return lambda: tiff(Page(), page())


COMPRESSED = Page({259: (SHORT, (32773,))}, [b"\x2f" + bytes(range(48))])  # PackBits: one run
EXIF = Page({0x9003: (ASCII, b"2026:01:02 03:04:05\0")})
GPS = Page({1: (ASCII, b"N\0")})


def compressed(**directories: Page) -> Page:
    """Return a PackBits page, with the directories `exif` or `gps` if given."""
    tags = {"exif": 34665, "gps": 34853}
    inner = {tags[name]: page for name, page in directories.items()}
    return Page(dict(COMPRESSED.fields), list(COMPRESSED.segments), directories=inner)


#: A refused file, a pattern of its reason, and its sibling.
REFUSED: dict[str, tuple[Callable[[], bytes], str, Callable[[], bytes]]] = {
    "rgb 16": (lambda: tiff(rgb(bits=16)), "would be reduced to 8", lambda: tiff(rgb())),
    "rgb 16, planar": (
        lambda: tiff(planar(rgb(bits=16))),
        "would be reduced to 8",
        lambda: tiff(planar(rgb())),
    ),
    "rgb 16, tiled": (
        lambda: tiff(tiled(rgb(bits=16))),
        "would be reduced to 8",
        lambda: tiff(tiled(rgb())),
    ),
    "rgb 16, page 2": (page_2(partial(rgb, bits=16)), "reduced to 8.*page 2", page_2(rgb)),
    "cmyk 16": (
        lambda: tiff(rgb(bits=16, channels=4, photometric=5)),
        "would be reduced to 8",
        lambda: tiff(rgb(channels=4, photometric=5)),
    ),
    "rgba 16": (
        lambda: tiff(having(rgb(bits=16, channels=4), 338, SHORT, (2,))),
        "would be reduced to 8",
        lambda: tiff(having(rgb(channels=4), 338, SHORT, (2,))),
    ),
    "min is white 16": (
        lambda: tiff(rgb(bits=16, channels=1, photometric=0)),
        "MinIsWhite",
        lambda: tiff(rgb(channels=1, photometric=0)),
    ),
    "gray 12": (
        lambda: tiff(rgb(bits=12, channels=1, photometric=1)),
        "12 bits",
        lambda: tiff(rgb(bits=16, channels=1, photometric=1)),
    ),
    "gray 32": (
        lambda: tiff(rgb(bits=32, channels=1, photometric=1)),
        "32 bits",
        lambda: tiff(rgb(bits=16, channels=1, photometric=1)),
    ),
    "gray 4": (
        lambda: tiff(rgb(bits=4, channels=1, photometric=1)),
        "4 bits",
        lambda: tiff(Page()),
    ),
    "signed": (
        lambda: tiff(having(Page(), 339, SHORT, (2,))),
        "signed samples",
        lambda: tiff(having(Page(), 339, SHORT, (1,))),
    ),
    "signed 16": (
        lambda: tiff(having(rgb(bits=16, channels=1, photometric=1), 339, SHORT, (2,))),
        "signed samples",
        lambda: tiff(having(rgb(bits=16, channels=1, photometric=1), 339, SHORT, (1,))),
    ),
    "float": (
        lambda: tiff(having(rgb(bits=32, channels=1, photometric=1), 339, SHORT, (3,))),
        "floating-point samples",
        lambda: tiff(Page()),
    ),
    "one signed channel": (
        lambda: tiff(having(rgb(), 339, SHORT, (1, 1, 2))),
        "unsigned integer",
        lambda: tiff(having(rgb(), 339, SHORT, (1, 1, 1))),
    ),
    "planar gray 16": (
        lambda: tiff(having(rgb(bits=16, channels=1, photometric=1), 284, SHORT, (2,))),
        "separate planes",
        lambda: tiff(having(rgb(bits=16, channels=1, photometric=1), 284, SHORT, (1,))),
    ),
    "planar gray and alpha": (
        lambda: tiff(
            planar(having(rgb(channels=2, photometric=1), 338, SHORT, (2,))),
        ),
        "separate planes",
        lambda: tiff(having(rgb(channels=2, photometric=1), 338, SHORT, (2,))),
    ),
    "sub-ifd": (
        lambda: tiff(Page(directories={330: Page()})),
        "SubIFDs",
        lambda: tiff(Page()),
    ),
    "sub-ifd, page 2": (
        page_2(lambda: Page(directories={330: Page()})),
        "SubIFDs.*page 2",
        page_2(Page),
    ),
    "sub-ifd, big-endian": (
        lambda: tiff(Page(directories={330: Page()}), order=">"),
        "SubIFDs",
        lambda: tiff(Page(), order=">"),
    ),
    "sub-ifd, BigTIFF": (
        lambda: tiff(Page(directories={330: Page()}), big=True),
        "SubIFDs",
        lambda: tiff(Page(), big=True),
    ),
    "sub-ifd of type IFD": (
        lambda: tiff(having(Page(), 330, 13, (8,))),
        "SubIFDs",
        lambda: tiff(Page()),
    ),
    "dng": (
        lambda: tiff(having(Page(), 50706, BYTE, (1, 4, 0, 0))),
        "camera raw.*DNGVersion",
        lambda: tiff(Page()),
    ),
    "dng, page 2": (
        page_2(lambda: having(Page(), 50706, BYTE, (1, 4, 0, 0))),
        "camera raw.*DNGVersion",
        page_2(Page),
    ),
    "cfa": (
        lambda: tiff(having(Page(), 262, SHORT, (32803,))),
        "camera raw.*CFA",
        lambda: tiff(Page()),
    ),
    "linear raw": (
        lambda: tiff(having(Page(), 262, SHORT, (34892,))),
        "camera raw.*LinearRaw",
        lambda: tiff(Page()),
    ),
    "nikon compression": (
        lambda: tiff(having(Page(), 259, SHORT, (34713,))),
        "camera raw.*Nikon",
        lambda: tiff(Page()),
    ),
    "reduced page": (
        lambda: tiff(Page(), having(Page(), 254, LONG, (1,))),
        "reduced-resolution",
        lambda: tiff(Page(), having(Page(), 254, LONG, (2,))),
    ),
    "reduced first page": (
        lambda: tiff(having(Page(), 254, LONG, (1,))),
        "reduced-resolution",
        lambda: tiff(having(Page(), 254, LONG, (0,))),
    ),
    "reduced page, old tag": (
        lambda: tiff(Page(), having(Page(), 255, SHORT, (2,))),
        "reduced-resolution",
        lambda: tiff(Page(), having(Page(), 255, SHORT, (1,))),
    ),
    "mask page": (
        lambda: tiff(Page(), having(Page(), 254, LONG, (4,))),
        "mask",
        lambda: tiff(Page(), Page()),
    ),
    "nodata": (
        lambda: tiff(having(Page(), 42113, ASCII, b"0\0")),
        "GDAL_NODATA",
        lambda: tiff(having(Page(), 42112, ASCII, b"<GDALMetadata/>\0")),
    ),
    "surplus tiles": (lambda: tiff(tiled(Page(), 3)), "lists 3 tiles", lambda: tiff(tiled(Page()))),
    "surplus strips": (
        lambda: tiff(Page(segments=[bytes(48)] * 2)),
        "lists 2 strips",
        lambda: tiff(having(Page(segments=[bytes(24)] * 2), 278, SHORT, (3,))),
    ),
    "empty tile": (
        lambda: tiff(having(tiled(Page()), 324, LONG, (0,))),
        "a tile with too few bytes",
        lambda: tiff(tiled(Page())),
    ),
    "strip beyond the end": (
        lambda: tiff(having(Page(), 273, LONG, (1_000_000,))),
        "truncated",
        lambda: tiff(Page()),
    ),
    "unspecified channel": (
        lambda: tiff(having(rgb(channels=4), 338, SHORT, (0,))),
        "unspecified",
        lambda: tiff(having(rgb(channels=4), 338, SHORT, (2,))),
    ),
    "channel without description": (
        lambda: tiff(rgb(channels=4)),
        "not described",
        lambda: tiff(rgb()),
    ),
    "two extra channels": (
        lambda: tiff(having(rgb(channels=5), 338, SHORT, (2, 0))),
        "extra channels",
        lambda: tiff(having(rgb(channels=4), 338, SHORT, (2,))),
    ),
    "associated alpha": (
        lambda: tiff(having(rgb(channels=4), 338, SHORT, (1,))),
        "associated",
        lambda: tiff(having(rgb(channels=4), 338, SHORT, (2,))),
    ),
    "exif, compressed": (
        lambda: tiff(compressed(exif=EXIF)),
        "EXIF data of a compressed TIFF",
        lambda: tiff(Page(directories={34665: EXIF})),
    ),
    "gps, compressed": (
        lambda: tiff(compressed(gps=GPS)),
        "GPS data of a compressed TIFF",
        lambda: tiff(Page(directories={34853: GPS})),
    ),
    "exif, compressed, page 2": (
        page_2(lambda: compressed(exif=EXIF)),
        "EXIF.*page 2",
        page_2(compressed),
    ),
    "damaged exif": (
        lambda: tiff(having(Page(), 34665, LONG, (1_000_000,))),
        "EXIF directory is damaged",
        lambda: tiff(Page(directories={34665: EXIF})),
    ),
    "data type": (
        lambda: tiff(having(Page(), 32996, SHORT, (2,))),
        "DataType",
        lambda: tiff(having(Page(), 32995, SHORT, (2,))),
    ),
    "iptc of longs": (
        lambda: tiff(having(Page(), 33723, LONG, (0x1C020500, 7))),
        "IPTC",
        lambda: tiff(having(Page(), 33723, UNDEFINED, b"\x1c\2\5\0\0\3abc")),
    ),
    "text in utf-8": (
        lambda: tiff(having(Page(), 270, ASCII, b"2 \xc2\xb5m\0")),
        "tag 270 is not ASCII",
        lambda: tiff(having(Page(), 270, ASCII, b"2 um\0")),
    ),
    "text in utf-8, compressed": (
        lambda: tiff(having(compressed(), 315, ASCII, "José\0".encode())),
        "tag 315 is not ASCII",
        lambda: tiff(having(compressed(), 315, ASCII, b"Jose\0")),
    ),
    "jpeg in tiff": (
        lambda: encode(picture(), "TIFF", compression="jpeg"),
        "JPEG compression",
        lambda: encode(picture(), "TIFF", compression="tiff_lzw"),
    ),
    "predictor without effect in libtiff": (
        lambda: tiff(having(compressed(), 317, SHORT, (2,))),
        "predictor",
        lambda: tiff(having(compressed(), 317, SHORT, (1,))),
    ),
    "webp in tiff": (
        lambda: tiff(having(Page(), 259, SHORT, (50001,))),
        "WebP compression",
        lambda: tiff(compressed()),
    ),
    "unknown compression": (
        lambda: tiff(having(Page(), 259, SHORT, (999,))),
        r"unknown \(999\) compression, 8 bits per sample, 1 channel",
        lambda: tiff(Page()),
    ),
    "big-endian BigTIFF": (
        lambda: tiff(rgb(), order=">", big=True),
        "big-endian BigTIFF.*no compression, 8 bits per sample, 3 channels",
        lambda: tiff(rgb(), big=True),
    ),
    "damaged data": (
        lambda: tiff(having(Page(), 259, SHORT, (5,))),
        "LZW compression, 8 bits per sample, 1 channel",
        lambda: tiff(compressed()),
    ),
    "smallest and largest value": (
        lambda: tiff(having(having(Page(), 280, SHORT, (10,)), 281, SHORT, (200,))),
        "smallest and largest sample values",
        lambda: tiff(having(having(Page(), 280, SHORT, (10,)), 281, SHORT, (245,))),
    ),
    "damaged CCITT Group 4": (
        lambda: damaged_fax("group4"),
        "CCITT data is damaged",
        lambda: encode(picture(1, (400, 300), "1"), "TIFF", compression="group4"),
    ),
    "damaged CCITT RLE": (
        lambda: damaged_fax("tiff_ccitt"),
        "CCITT data is damaged",
        lambda: encode(picture(1, (400, 300), "1"), "TIFF", compression="tiff_ccitt"),
    ),
    "ImageJ stack": (
        lambda: tiff(having(Page(), 270, ASCII, b"ImageJ=1.53\nimages=2\n\0")),
        "ImageJ stack",
        lambda: tiff(having(Page(), 270, ASCII, b"ImageJ=1.53\nimages=1\n\0")),
    ),
    "loop of pages": (
        lambda: tiff(Page())[:-4] + tiff(Page())[4:8],
        "loop",
        lambda: tiff(Page()),
    ),
    "16-bit color map": (
        lambda: tiff(having(rgb(channels=1, photometric=3), 320, SHORT, (0x1234,) * 768)),
        "color map uses 16 bits",
        lambda: tiff(having(rgb(channels=1, photometric=3), 320, SHORT, (0x1200,) * 768)),
    ),
}


def damaged_fax(compression: str) -> bytes:
    """Return a bilevel TIFF with a complemented part in its data."""
    data = encode(picture(1, (400, 300), "1"), "TIFF", compression=compression)
    return data[:600] + bytes(255 - value for value in data[600:664]) + data[664:]


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_would_lose_something_are_refused(name: str, tmp_path: Path) -> None:
    bad, reason, good = REFUSED[name]
    data = good()
    once = negative(tmp_path, data)
    if decode(data).mode not in ("I;16", "CMYK"):  # test_parity has these
        assert error(decode(once), negated(data)) == 0
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(once)) as after:
        assert getattr(before, "n_frames", 1) == getattr(after, "n_frames", 1)
    with pytest.raises(InvalidInput, match=reason) as caught:
        negative(tmp_path, bad())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("magic", "maker"),
    [
        (b"II*\0\x10\0\0\0CR\x02\0", "Canon CR2"),
        (b"II\x1a\0\0\0HEAPCCDR", "Canon CRW"),
        (b"\0\0\0\x18ftypcrx ", "Canon CR3"),
        (b"IIU\0\x08\0\0\0", "RW2"),
        (b"IIRO\x08\0\0\0", "ORF"),
        (b"FUJIFILMCCD-RAW ", "RAF"),
        (b"\0MRM", "MRW"),
        (b"FOVb", "X3F"),
        (b"II*\0\x08\0\0\0IIII\1\0", "Phase One"),
        (b"MM\0*\0\0\0\x08MMMM", "Phase One"),
    ],
)
def test_camera_raw_files_are_refused_by_their_magic(
    magic: bytes, maker: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=f"camera raw files .*{maker}"):
        negative(tmp_path, magic.ljust(4096, b"\0"))


@pytest.mark.parametrize(
    "data", [b"II\0\x01\x08\0\0\0", b"MMXXVI", b"PS: no picture", b"text", b"P", b"\0"]
)
def test_other_files_are_not_taken_for_damaged_pictures(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"not a picture in a supported format \(BMP, GIF"):
        negative(tmp_path, data)


@pytest.mark.parametrize("data", [b"RIFF\x20\0\0\0WEBPVP8 \x0c\0\0\0" + bytes(20), b"P6 1 1 255\n"])
def test_damaged_files_are_refused_without_our_paths(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"damaged|truncated") as caught:
        negative(tmp_path, data)
    assert tmp_path.name not in str(caught.value)


@pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")
@pytest.mark.parametrize(
    "path",
    sorted(p for p in CASES.glob("*") if p.suffix not in (".md", ".ppm", ".bmp", ".webp")),
    ids=lambda path: path.name,
)
def test_files_that_were_damaged_before_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        negative(tmp_path, path.read_bytes())
    assert "supported format" not in str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["no", "PackBits"])
def test_a_tiff_keeps_its_tags(kind: str, order: str, tmp_path: Path) -> None:
    fields: dict[int, tuple[int, tuple[int, ...] | bytes]] = {
        254: (LONG, (2,)),
        270: (ASCII, b"a description\0"),
        274: (SHORT, (6,)),
        282: (RATIONAL, (725, 10)),
        283: (RATIONAL, (300, 1)),
        280: (SHORT, (0,)),
        296: (SHORT, (3,)),
        297: (SHORT, (0, 2)),
        321: (SHORT, (10, 200)),
        336: (SHORT, (0, 255)),
        305: (ASCII, b"software\0"),
        33550: (12, (1, 2, 3)),
        65000: (UNDEFINED, b"\0\1\2\3\4"),
    }
    page = compressed() if kind == "PackBits" else Page()
    page.fields |= fields
    data = tiff(page, Page(dict(page.fields), list(page.segments)), order=order)
    once = negative(tmp_path, data)
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(once)) as after:
        for number in range(2):
            before.seek(number)
            after.seek(number)
            for tag in fields:
                assert before.tag_v2[tag] == after.tag_v2[tag]  # type: ignore[attr-defined]
            assert error(after, ImageChops.invert(before.convert("L"))) == 0
            assert after.size == (6, 8)  # turned by its orientation, as the source is


@pytest.mark.parametrize("with_profile", [1, 2])
def test_a_page_does_not_get_the_profile_of_another(with_profile: int, tmp_path: Path) -> None:
    page = having(compressed(), 34675, UNDEFINED, bytes(200))
    pages = [page, compressed()] if with_profile == 1 else [compressed(), page]
    once = negative(tmp_path, tiff(*pages))
    with Image.open(BytesIO(once)) as image:
        for number in (1, 2):
            image.seek(number - 1)
            tags = image.tag_v2  # type: ignore[attr-defined]
            assert (34675 in tags) == (number == with_profile)


@pytest.mark.parametrize("kind", ["no", "PackBits"])
@pytest.mark.parametrize("orientation", [0, 9])
def test_a_tiff_keeps_an_undefined_orientation(orientation: int, kind: str, tmp_path: Path) -> None:
    page = compressed() if kind == "PackBits" else Page()
    data = tiff(having(page, 274, SHORT, (orientation,)))
    once = negative(tmp_path, data)
    with Image.open(BytesIO(once)) as image:
        assert image.tag_v2[274] == orientation  # type: ignore[attr-defined]
    assert error(decode(once), negated(data)) == 0


def test_the_reason_names_a_fill_order_that_is_not_supported(tmp_path: Path) -> None:
    page = having(having(rgb(channels=4), 338, SHORT, (2,)), 266, SHORT, (2,))
    with pytest.raises(InvalidInput, match="RGB, fill order 2"):
        negative(tmp_path, tiff(page))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_keeps_its_orientation(orientation: int, tmp_path: Path) -> None:
    data = tiff(having(Page(), 274, SHORT, (orientation,)))
    once = negative(tmp_path, data)
    with Image.open(BytesIO(once)) as image:
        assert image.tag_v2[274] == orientation  # type: ignore[attr-defined]
    assert error(decode(once), negated(data)) == 0
    assert bytes(255 - value for value in range(48)) in once


def _png(*chunks: tuple[bytes, bytes], mode: str = "RGB") -> bytes:
    data = encode(picture(12, (64, 48), mode), "PNG")
    return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]


#: A file that Pillow would damage and the kernels keep, and a sibling that Pillow keeps as well.
DEFERRED: dict[str, tuple[bytes, bytes]] = {
    "png, 16 bits": (raw_png(2, 16, 0), raw_png(2, 8, 0)),
    "png, 16 bits of gray": (raw_png(0, 16, 0), raw_png(0, 8, 0)),
    "png, bKGD": (
        _png((b"bKGD", b"\0\1\0\2\0\3")),
        _png((b"cICP", b"\1\r\0\1"), (b"tIME", bytes(7)), (b"gAMA", b"\0\0\xb1\x8f")),
    ),
    "png, thumbnail": (
        _png((b"eXIf", exif(PREVIEW)[6:])),
        _png((b"eXIf", exif(b"")[6:])),
    ),
}


@pytest.mark.parametrize("name", DEFERRED)
def test_files_that_pillow_would_harm_wait_for_the_kernels(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, done = DEFERRED[name]
    assert negative(tmp_path, waiting)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "library", None)
        with pytest.raises(UploadDeferred, match="not built yet"):
            negative(tmp_path, waiting)
        assert error(decode(negative(tmp_path, done)), negated(done)) <= 20
    assert negative(tmp_path, waiting)


def test_apply_builds_the_kernels_or_warns_that_it_runs_without(tmp_path: Path) -> None:
    package = package_without_kernels(tmp_path / "package")
    for name, data in {"a.gif": encode(picture(), "GIF"), "b.png": raw_png(2, 16, 0)}.items():
        (tmp_path / name).write_bytes(data)

    def run(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env={"PATH": path, "PYTHONPATH": str(package)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    where = "from worker.transforms.negate import kernels as k; print(k.cache() / k.file_name())"
    built = Path(run("", "-c", where).stdout.strip())
    assert not built.exists()
    try:
        done = run("", "-m", "worker", "apply", "negate", "a.gif", "b.png", ".")
        first, second = done.stderr.splitlines()
        assert first.startswith("Running without the compiled kernels")
        assert "there is no C compiler" in first
        assert second.startswith("b.png: the PNG has a depth of 16 bits")
        assert done.returncode == 1
        assert (tmp_path / "negated_a.gif").exists()
        done = run(os.environ["PATH"], "-m", "worker", "apply", "negate", "a.gif", "b.png", ".")
        assert (done.returncode, done.stderr) == (0, "")
        assert built.exists()
    finally:
        built.unlink(missing_ok=True)


def package_without_kernels(folder: Path) -> Path:
    """Return a copy of the worker with changed sources, for which no kernels were built."""
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=shutil.ignore_patterns("*.so"))
    source = next(folder.rglob("jpeg.c"))
    source.write_text(f"{source.read_text()}/* {folder} */\n")
    return folder


def test_a_photo_waits_in_its_bucket_until_the_kernels_are_built(versioned: Pipeline) -> None:
    package = package_without_kernels(versioned.folder / "package")
    versioned.environment = {"PYTHONPATH": str(package)}
    versioned.put("a.jpg", encode(picture(), "JPEG", exif=exif(PREVIEW)))
    versioned.put("b.gif", encode(picture(), "GIF"))
    done = versioned.drain(1)
    assert "'a.jpg' is deferred: a JPEG needs the compiled kernels" in done.stderr
    assert versioned.left() == ["a.jpg"]
    assert versioned.keys(versioned.quarantine) == []
    (attempt,) = versioned.sql("SELECT crashes, problem FROM pipeline.attempts")
    assert attempt["crashes"] == 0
    assert "compiled kernels" in attempt["problem"]
    subprocess.run(
        [sys.executable, "-m", "worker", "build"],
        env={"PATH": os.environ["PATH"]},
        cwd=package,
        check=True,
    )
    versioned.drain()
    assert versioned.left() == []
    assert versioned.keys(versioned.output) == ["negated_a.jpg", "negated_b.gif"]
