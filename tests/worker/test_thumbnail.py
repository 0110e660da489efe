"""`thumbnail`: sizes, orientation, colors and transparency; what it drops is named."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms, PngImagePlugin

from tests.fuzz.seeds import chunk, raw_png
from tests.worker.pictures import decode, encode, error, picture
from tests.worker.tiff_files import ASCII, BYTE, LONG, SHORT, Page, tiff
from worker import transforms
from worker.errors import InvalidInput
from worker.transforms import Input, Produced

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SIZE = (300, 200)


def thumbnail(
    folder: Path, data: bytes, max_pixels: int = 1_000_000, **parameters: Any
) -> tuple[bytes, Produced]:
    """Return the thumbnail of a file, and what the transform says of it."""
    source, outputs = folder / "source", folder / "outputs"
    source.write_bytes(data)
    outputs.mkdir(exist_ok=True)
    found = transforms.find("thumbnail")
    values = found.read(parameters)
    produced = transforms.load(found).apply([Input(source, "source", max_pixels)], outputs, values)
    ((path, _),) = produced.files
    return path.read_bytes(), produced


def exif(**fields: object) -> bytes:
    """Return EXIF data with fields by the names that `ExifTags.Base` has."""
    found = Image.Exif()
    for name, value in fields.items():
        found[Image.ExifTags.Base[name]] = value  # type: ignore[attr-defined]
    return found.tobytes()


@pytest.mark.parametrize(
    ("mode", "chosen", "written"),
    [
        ("RGB", "webp", "WEBP"),
        ("RGBA", "webp", "WEBP"),
        ("RGBA", "jpeg", "PNG"),
        ("L", "png", "PNG"),
    ],
)
def test_format_may_be_chosen(tmp_path: Path, mode: str, chosen: str, written: str) -> None:
    data, produced = thumbnail(tmp_path, encode(Image.new(mode, SIZE), "PNG"), format=chosen)
    assert decode(data).format == written
    assert produced.files[0][1] == f"image/{written.lower()}"


@pytest.mark.parametrize(
    ("size", "parameters", "expected"),
    [
        ((900, 600), {}, (512, 341)),
        ((600, 900), {}, (341, 512)),
        ((900, 600), {"width": 100, "height": 100}, (100, 67)),
        ((900, 600), {"width": "90", "height": "5"}, (8, 5)),
        ((900, 600), {"width": 100, "height": 100, "crop": True}, (100, 100)),
        ((900, 600), {"width": 300, "height": 50, "crop": "true"}, (300, 50)),
        ((300, 200), {}, (300, 200)),
        ((300, 200), {"crop": True}, (300, 200)),
        ((900, 200), {"crop": True}, (512, 200)),
        ((4000, 1), {}, (512, 1)),
        ((1, 4000), {"crop": True}, (1, 512)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_size(
    tmp_path: Path,
    kind: str,
    size: tuple[int, int],
    parameters: dict[str, Any],
    expected: tuple[int, int],
) -> None:
    result, _ = thumbnail(tmp_path, encode(picture(1, size), kind), **parameters)
    assert decode(result).size == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_the_format_and_the_colors_stay(tmp_path: Path, kind: str) -> None:
    photo = picture(2, (600, 400))
    result, produced = thumbnail(tmp_path, encode(photo, kind), width=150, height=150)
    assert decode(result).format == kind
    # A GIF has 256 colors; JPEG and WebP have lost some detail.
    tolerance = {"GIF": 60, "JPEG": 30, "WEBP": 30}.get(kind, 4)
    assert error(decode(result), photo.resize((150, 100), Image.Resampling.LANCZOS)) <= tolerance
    assert produced.notes == []
    again, _ = thumbnail(tmp_path, encode(photo, kind), width=150, height=150)
    assert again == result


def test_crop_cuts_both_sides_equally(tmp_path: Path) -> None:
    photo = Image.new("RGB", (600, 200), "red")
    photo.paste("green", (200, 0, 400, 200))
    result, _ = thumbnail(tmp_path, encode(photo, "PNG"), width=100, height=100, crop=True)
    assert error(decode(result).crop((2, 0, 98, 100)), Image.new("RGB", (96, 100), "green")) <= 2


def test_crop_of_a_small_picture_keeps_its_pixels(tmp_path: Path) -> None:
    photo = picture(3, (301, 100))
    result, _ = thumbnail(tmp_path, encode(photo, "PNG"), width=100, height=100, crop=True)
    assert error(decode(result), photo.crop((100, 0, 200, 100))) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_and_removed(tmp_path: Path, kind: str, orientation: int) -> None:
    photo = picture(4, SIZE)
    options = {"exif": exif(Orientation=orientation)}
    if kind == "TIFF":
        options = {"tiffinfo": {274: orientation}}  # type: ignore[dict-item]
    data = encode(photo, kind, **options)
    result, _ = thumbnail(tmp_path, data, width=90, height=90)
    image = decode(result)
    assert image.getexif().get(274, 1) == 1
    upright = photo
    for turn in {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90],
        6: [Image.Transpose.ROTATE_270],
        7: [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_270],
        8: [Image.Transpose.ROTATE_90],
    }.get(orientation, []):
        upright = upright.transpose(turn)
    expected = upright.resize(image.size, Image.Resampling.LANCZOS)
    assert image.size == ((90, 60) if orientation < 5 else (60, 90))
    assert error(image, expected) < 45


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_color_profile_stays(tmp_path: Path, kind: str) -> None:
    result, _ = thumbnail(tmp_path, encode(picture(5, SIZE), kind, icc_profile=PROFILE), width=50)
    assert decode(result).info["icc_profile"] == PROFILE


def test_what_colors_mean_stays(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add_text("Author", "somebody")
    result, produced = thumbnail(tmp_path, encode(picture(5, SIZE), "PNG", pnginfo=info), width=50)
    assert b"gAMA\x00\x00\xb1\x8f" in result
    assert produced.notes == ["dropped PNG chunks tEXt"]


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("1", "PNG", "L"),
        ("P", "PNG", "RGB"),
        ("LA", "PNG", "LA"),
        ("I;16", "PNG", "I;16"),
        ("I;16", "TIFF", "I;16"),
        ("I;16B", "TIFF", "I;16"),
        ("CMYK", "JPEG", "CMYK"),
        ("CMYK", "TIFF", "CMYK"),
        ("1", "TIFF", "L"),
        ("1", "BMP", "L"),
        ("L", "GIF", "P"),
    ],
)
def test_modes(tmp_path: Path, mode: str, kind: str, expected: str) -> None:
    result, produced = thumbnail(tmp_path, encode(picture(6, SIZE, mode), kind), width=50)
    image = decode(result)
    assert (image.format, image.mode) == (kind, expected)
    assert produced.notes == []


def test_sixteen_bits_of_gray_stay(tmp_path: Path) -> None:
    photo = Image.new("I;16", SIZE, 1000)
    for kind in ("PNG", "TIFF", "PPM"):
        result, produced = thumbnail(tmp_path, encode(photo, kind), width=30)
        assert decode(result).getpixel((5, 5)) == 1000
        assert produced.notes == []


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF"])
def test_transparency_without_dark_fringes(tmp_path: Path, kind: str) -> None:
    """Transparent pixels are black here: scaled with the others, they would darken the edges."""
    photo = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    photo.paste((250, 250, 250, 255), (50, 50, 201, 151))
    options = {"lossless": True} if kind == "WEBP" else {}
    result, _ = thumbnail(tmp_path, encode(photo, kind, **options), width=70, height=70)
    image = decode(result).convert("RGBA")
    assert image.getpixel((1, 1))[3] == 0  # type: ignore[index]
    data = image.tobytes()
    visible = [data[at : at + 3] for at in range(0, len(data), 4) if data[at + 3] > 60]
    assert len(visible) > 500
    assert min(map(min, visible)) > 225


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_transparent_color_becomes_alpha(tmp_path: Path, mode: str) -> None:
    photo = Image.new(mode, SIZE, 0)
    photo.paste(1 if mode == "P" else "white", (0, 0, 150, 200))
    if mode == "P":
        photo.putpalette([0, 0, 0, 255, 255, 255])
    transparent = (0, 0, 0) if mode == "RGB" else 0
    data = encode(photo, "PNG", transparency=transparent)
    image = decode(thumbnail(tmp_path, data, width=30)[0]).convert("RGBA")
    assert image.getpixel((2, 5)) == (255, 255, 255, 255)
    assert image.getpixel((28, 5))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_transparent_gray_of_few_bits(tmp_path: Path, depth: int) -> None:
    data = raw_png(0, depth, 0, (64, 48))
    key = 1
    image = decode(thumbnail(tmp_path, with_key(data, bytes((0, key))))[0])
    largest = (1 << depth) - 1
    gray = decode(data).convert("L")
    is_transparent = gray.point(lambda value: 255 * (value == key * 255 // largest))
    expected = Image.merge("LA", (gray, ImageChops.invert(is_transparent)))
    assert ImageChops.difference(image.getchannel("A"), expected.getchannel("A")).getbbox() is None


def with_key(data: bytes, key: bytes) -> bytes:
    """Return a PNG with a transparent color."""
    at = data.index(b"IDAT") - 4
    return data[:at] + chunk(b"tRNS", key) + data[at:]


def bmp_with_alpha() -> bytes:
    """Return a BMP of 32 bits per pixel with an alpha mask (BITMAPV3INFOHEADER)."""
    width, height = 40, 30
    header = struct.pack("<IiiHHIIiiII", 56, width, height, 1, 32, 3, 0, 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    pixels = bytes((10, 20, 200, 100)) * (width * height)
    size = 14 + len(header) + len(masks)
    start = b"BM" + struct.pack("<IHHI", size + len(pixels), 0, 0, size)
    return start + header + masks + pixels


def deep_tiff() -> bytes:
    """Return an RGB TIFF with 16 bits per channel."""
    page = Page(segments=[bytes(288)])
    page.fields |= {258: (SHORT, (16,) * 3), 262: (SHORT, (2,)), 277: (SHORT, (3,))}
    return tiff(page)


def gps() -> bytes:
    """Return EXIF data with a place and a camera's name."""
    found = Image.Exif()
    found[271] = "camera"
    found[34853] = {1: "N"}
    return found.tobytes()


def animation(kind: str) -> bytes:
    """Return an animation of three frames."""
    first, *others = (picture(number, SIZE) for number in range(3))
    return encode(first, kind, save_all=True, append_images=others, duration=100)


NOTES: dict[str, tuple[Callable[[], bytes], list[str]]] = {
    "exif": (
        lambda: encode(picture(), "JPEG", exif=gps(), comment=b"hello", xmp=b"<x/>"),
        ["dropped EXIF, GPS, XMP, a comment"],
    ),
    "orientation alone": (lambda: encode(picture(), "JPEG", exif=exif(Orientation=6)), []),
    "webp": (
        lambda: encode(picture(), "WEBP", exif=gps(), xmp=b"<x/>"),
        ["dropped EXIF, GPS, XMP"],
    ),
    "png": (lambda: encode(picture(), "PNG", exif=gps()), ["dropped PNG chunks eXIf"]),
    "tiff": (
        lambda: tiff(Page({270: (ASCII, b"text\0"), 700: (BYTE, tuple(b"<x/>"))})),
        ["dropped XMP, TIFF tags 270"],
    ),
    "gif comment": (lambda: encode(picture(), "GIF", comment=b"x"), ["dropped a comment"]),
    "gif frames": (lambda: animation("GIF"), ["dropped 2 further frames"]),
    "webp frames": (lambda: animation("WEBP"), ["dropped 2 further frames"]),
    "apng frames": (lambda: animation("PNG"), ["dropped 2 further frames"]),
    "mpo": (lambda: animation("MPO"), ["dropped 2 further pictures"]),
    "tiff pages": (lambda: tiff(Page(), Page()), ["dropped 1 further page"]),
    "png 16": (lambda: raw_png(2, 16, 0), ["reduced to 8 bits per channel"]),
    "png 16 with a transparent color": (
        lambda: with_key(raw_png(2, 16, 0), bytes(6)),
        ["reduced to 8 bits per channel", "dropped the transparent color"],
    ),
    "gray png 16 with a transparent color": (
        lambda: with_key(raw_png(0, 16, 0), bytes(2)),
        ["dropped the transparent color"],
    ),
    "tiff 16": (deep_tiff, ["reduced to 8 bits per channel"]),
    "ppm 16": (lambda: b"P6 4 3 65535\n" + bytes(72), ["reduced to 8 bits per channel"]),
    "pgm and another": (
        lambda: 2 * (b"P5 4 3 255\n" + bytes(12)),
        ["dropped a second picture"],
    ),
    "bmp with alpha": (bmp_with_alpha, ["written as PNG: BMP would lose transparency"]),
    "avif": (lambda: encode(picture(), "AVIF"), ["written as PNG instead of AVIF"]),
    "jpeg 2000": (
        lambda: encode(picture(), "JPEG2000"),
        ["dropped a comment", "written as PNG instead of JPEG 2000"],
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_is_dropped_is_named(tmp_path: Path, name: str) -> None:
    make, notes = NOTES[name]
    result, produced = thumbnail(tmp_path, make())
    assert produced.notes == notes
    image = decode(result)
    assert not {270, 271, 700, 34853} & dict(image.getexif()).keys()
    assert not {"exif", "xmp", "comment"} & image.info.keys()
    assert getattr(image, "n_frames", 1) == 1
    ((_, content_type),) = produced.files
    assert content_type == {"PPM": "image/x-portable-anymap"}.get(
        str(image.format), f"image/{str(image.format).lower()}"
    )


def truncated(kind: str) -> bytes:
    """Return the first half of a picture without smooth parts, which would be short."""
    noise = Image.effect_noise(SIZE, 80).convert("RGB")
    data = encode(noise, kind)
    return data[: len(data) // 2]


def test_associated_alpha_of_a_tiff(tmp_path: Path) -> None:
    """Its colors are stored multiplied with it; the result has them as they are."""
    for channels, photometric, pixel, expected in (
        (2, 1, (50, 100), (127, 100)),
        (4, 2, (50, 20, 10, 100), (127, 51, 25, 100)),
    ):
        fields: dict[int, tuple[int, tuple[int, ...] | bytes]] = {258: (SHORT, (8,) * channels)}
        fields |= {262: (SHORT, (photometric,)), 277: (SHORT, (channels,)), 338: (SHORT, (1,))}
        result, produced = thumbnail(tmp_path, tiff(Page(fields, [bytes(pixel) * 48])))
        assert decode(result).getpixel((3, 3)) == expected
        assert produced.notes == []


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the file is empty"),
    "text": (lambda: b"hello", "not a picture in a supported format"),
    "camera raw": (lambda: b"II*\0\x10\0\0\0CR\x02\0" + bytes(99), "camera raw files .Canon CR2"),
    "dng": (lambda: tiff(Page({50706: (BYTE, (1, 4, 0, 0))})), "camera raw.*DNGVersion"),
    "signed": (lambda: tiff(Page({339: (SHORT, (2,))})), "unsigned.*signed samples"),
    "12 bits": (
        lambda: tiff(Page({258: (SHORT, (12,))}, [bytes(72)])),
        "its bit depth is not supported.*12 bits",
    ),
    "4 bits of a color": (
        lambda: tiff(Page({258: (SHORT, (4,) * 3), 262: (SHORT, (2,)), 277: (SHORT, (3,))})),
        "its bit depth is not supported.*4 bits per sample, 3 channels",
    ),
    "channel without description": (
        lambda: tiff(
            Page({258: (SHORT, (8,) * 4), 262: (SHORT, (2,)), 277: (SHORT, (4,))}, [bytes(192)])
        ),
        "an extra channel that is not described",
    ),
    "min is white 16": (
        lambda: tiff(Page({258: (SHORT, (16,)), 262: (SHORT, (0,))}, [bytes(96)])),
        "MinIsWhite is not supported above 8 bits",
    ),
    "lab": (lambda: encode(picture(1, SIZE, "LAB"), "TIFF"), "its colors are not supported"),
    "strip beyond the end": (lambda: tiff(Page({273: (LONG, (10**6,))})), "truncated"),
    "damaged lzw": (lambda: tiff(Page({259: (SHORT, (5,))})), "damaged or not.*LZW"),
    "pam": (lambda: b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 1\nENDHDR\n\1", "PAM files are not"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    with pytest.raises(InvalidInput, match=reason):
        thumbnail(tmp_path, make())


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF", "JPEG2000"]
)
def test_half_a_picture_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InvalidInput, match=r"damaged|truncated") as raised:
        thumbnail(tmp_path, truncated(kind), width=20, height=20)
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF"])
def test_too_many_pixels(tmp_path: Path, kind: str) -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(
        InvalidInput, match=r"has 60,000 pixels, more than .* limits\.pixels, 59,999"
    ):
        thumbnail(tmp_path, encode(picture(1, SIZE), kind), max_pixels=59_999)
    assert before == Image.MAX_IMAGE_PIXELS  # of others in the process
    thumbnail(tmp_path, encode(picture(1, SIZE), kind), max_pixels=60_000)


def test_damaged_exif_does_not_matter(tmp_path: Path) -> None:
    data = encode(picture(), "JPEG", exif=b"Exif\0\0XX\0*nonsense")
    _, produced = thumbnail(tmp_path, data)
    assert produced.notes == ["dropped damaged EXIF"]


def test_the_quality_of_a_reduced_jpeg(tmp_path: Path) -> None:
    """A JPEG is decoded at a fraction of its size; the result is close to that of all pixels."""
    photo = picture(9, (3000, 2000))
    data = encode(photo, "JPEG", quality=95)
    image = decode(thumbnail(tmp_path, data, max_pixels=10**7, width=300, height=300)[0])
    assert error(image, photo.resize((300, 200), Image.Resampling.LANCZOS)) < 12
