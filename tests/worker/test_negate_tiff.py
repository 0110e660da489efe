"""TIFF: strips and tiles are negated, everything else stays byte for byte, or the file is refused.

tests/pictures compares many more by decoders that are not ours.
"""

import base64
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.worker.negation import negative, notes
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import ROOT
from tests.worker.tiff_files import ASCII, BYTE, LONG, RATIONAL, SHORT, UNDEFINED, Page, tiff
from tests.worker.tiff_pages import Fields, compressed, gray, having, packed, planar, rgb, tiled
from worker.errors import InvalidInput
from worker.transforms.negate.tiff.layout import Place
from worker.transforms.negate.tiff.tags import Value, of_blocks
from worker.transforms.pictures import tiff_directories

pytestmark = pytest.mark.usefixtures("compiled")
CASES = ROOT.parent / "shared" / "cases"
PREVIEW = encode(picture(11, (32, 24)), "JPEG", quality=85)
EXIF = Page({0x9003: (ASCII, b"2026:01:02 03:04:05\0")})
GPS = Page({1: (ASCII, b"N\0")})
SBYTE = 6


def complement(data: bytes) -> bytes:
    """Return the bytes, every bit complemented."""
    return bytes(255 - value for value in data)


def segments(*pages: Page) -> list[bytes]:
    """Return the strips or tiles of pages, each once."""
    return list(dict.fromkeys(segment for page in pages for segment in page.segments))


def alpha_kept(page: Page, channels: int, size: int = 1) -> bytes:
    """Return the page's pixels, complemented but for the last channel of so many bytes."""
    data = page.segments[0]
    return bytes(
        value if i // size % channels == channels - 1 else 255 - value
        for i, value in enumerate(data)
    )


COMPLEMENTED: dict[str, list[Page]] = {
    "rgb": [rgb()],
    "rgb 16": [rgb(bits=16)],
    "rgb 16, planar": [planar(rgb(bits=16))],
    "rgb 16, tiled": [tiled(rgb(bits=16))],
    "rgb 16, second page": [Page(), rgb(bits=16)],
    "cmyk 16": [rgb(4, 16, 5)],
    "six inks": [having(rgb(6, 8, 5), 332, SHORT, (2,))],
    "min is white 16": [rgb(1, 16, 0)],
    "gray 1": [gray(1)],
    "gray 2": [gray(2)],
    "gray 4": [gray(4)],
    "gray 12": [gray(12)],
    "gray 14": [gray(14)],
    "gray 32": [gray(32)],
    "gray 64": [gray(64)],
    "rgb 565": [
        having(rgb(2, 8), 258, SHORT, (5, 6, 5)),
    ],
    "signed": [having(gray(8), 339, SHORT, (2,))],
    "signed 16": [having(gray(16), 339, SHORT, (2,))],
    "one signed channel": [having(rgb(), 339, SHORT, (1, 1, 2))],
    "undefined format": [having(gray(16), 339, SHORT, (4,))],
    "seven bands": [having(rgb(7, 16, 1), 338, SHORT, (0,) * 6)],
    "two bands, not described": [rgb(2, 8, 1)],
    "YCbCr without subsampling": [having(rgb(3, 8, 6), 530, SHORT, (1, 1))],
    "fill order 2": [having(gray(1), 266, SHORT, (2,))],
    "SubIFDs": [
        Page(directories={330: gray(16)}),
    ],
    "reduced page": [Page(), having(gray(16), 254, LONG, (1,))],
    "reduced page, old tag": [Page(), having(rgb(), 255, SHORT, (2,))],
    "equal strips": [Page(), Page()],
}
COMPLEMENTED["rgb 565"][0].fields |= {277: (SHORT, (3,))}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", COMPLEMENTED)
def test_samples_are_complemented_and_nothing_else_changes(
    name: str, order: str, big: bool, tmp_path: Path
) -> None:
    pages = COMPLEMENTED[name]
    data = tiff(*pages, order=order, big=big)
    levels = [page.directories[330] for page in pages if 330 in page.directories]
    expected = data
    for segment in segments(*pages, *levels):
        assert segment in data
        expected = expected.replace(segment, complement(segment))
    once = negative(tmp_path, data)
    assert once == expected
    assert negative(tmp_path, once) == data


@pytest.mark.parametrize(("bits", "size"), [(8, 1), (16, 2), (32, 4)])
def test_unassociated_alpha_stays(bits: int, size: int, tmp_path: Path) -> None:
    page = having(rgb(4, bits), 338, SHORT, (2,))
    data = tiff(page)
    expected = data.replace(page.segments[0], alpha_kept(page, 4, size))
    assert negative(tmp_path, data) == expected


def test_a_plane_of_alpha_stays(tmp_path: Path) -> None:
    page = planar(having(rgb(2, 8, 1), 338, SHORT, (2,)))
    data = tiff(page)
    once = negative(tmp_path, data)
    assert once == data.replace(page.segments[0], complement(page.segments[0]))


def test_associated_alpha_limits_the_colors(tmp_path: Path) -> None:
    page = having(rgb(2, 8, 1), 338, SHORT, (1,))
    page.segments = [bytes([i * 3 % 101 if i % 2 == 0 else 100 + i for i in range(96)])]
    old = page.segments[0]
    new = bytes(old[i + 1] - old[i] if i % 2 == 0 else old[i] for i in range(96))
    data = tiff(page)
    assert negative(tmp_path, data) == data.replace(old, new)


def test_an_extra_channel_of_unspecified_meaning_stays_with_a_note(tmp_path: Path) -> None:
    page = having(rgb(4), 338, SHORT, (0,))
    data = tiff(page)
    assert negative(tmp_path, data) == data.replace(page.segments[0], alpha_kept(page, 4))
    assert notes(tmp_path, data) == ["kept channels of unspecified meaning as they are"]


@pytest.mark.parametrize("photometric", [0, 1, 4])
def test_a_mask_stays(photometric: int, tmp_path: Path) -> None:
    """Also one without PhotometricInterpretation 4, which is one for GDAL by NewSubfileType."""
    mask = having(rgb(1, 8, photometric), 254, LONG, (4,))
    assert mask.segments[0] != Page().segments[0]
    data = tiff(Page(), mask)
    page = Page().segments[0]
    assert negative(tmp_path, data) == data.replace(page, complement(page))


def test_the_first_page_is_no_mask_for_its_subfile_type(tmp_path: Path) -> None:
    page = having(gray(8), 254, LONG, (4,))
    data = tiff(page)
    expected = data.replace(page.segments[0], complement(page.segments[0]))
    assert negative(tmp_path, data) == expected


def test_padding_bits_stay(tmp_path: Path) -> None:
    page = having(gray(1), 256, SHORT, (5,))
    page.segments = [b"\x07\xff\x2f\x50\0\xaf"]
    data = tiff(page)
    negatives = bytes(value ^ 0b11111000 for value in page.segments[0])
    assert negative(tmp_path, data) == data.replace(page.segments[0], negatives)


def test_a_palette_is_complemented_in_its_color_map(tmp_path: Path) -> None:
    colors = tuple(i * 83 % 65536 for i in range(768))
    page = having(rgb(1, 8, 3), 320, SHORT, colors)
    data = tiff(page)
    old, new = (struct.pack("<768H", *each) for each in (colors, [65535 - i for i in colors]))
    once = negative(tmp_path, data)
    assert once == data.replace(old, new)
    assert negative(tmp_path, once) == data


def test_a_color_map_of_8_bits_stays_one(tmp_path: Path) -> None:
    colors = tuple(i % 256 for i in range(768))
    data = tiff(having(rgb(1, 8, 3), 320, SHORT, colors))
    old, new = (struct.pack("<768H", *each) for each in (colors, [255 - i for i in colors]))
    assert negative(tmp_path, data) == data.replace(old, new)


#: A page, and its fields' old and new bytes.
ADAPTED: dict[str, tuple[Page, bytes, bytes]] = {
    "nodata": (having(Page(), 42113, ASCII, b"200\0"), b"200\0", b"55\0\0"),
    "nodata of 16 bits": (having(gray(16), 42113, ASCII, b"12345\0"), b"12345\0", b"53190\0"),
    "statistics": (
        having(
            gray(16),
            42112,
            ASCII,
            b'<Item name="STATISTICS_MAXIMUM" sample="0">64535</Item>'
            b'<Item name="STATISTICS_MEAN" sample="0">9000.5</Item>'
            b'<Item name="STATISTICS_MINIMUM" sample="0">20</Item>'
            b'<Item name="SCALE" sample="0" role="scale">20</Item>\0',
        ),
        b'<Item name="STATISTICS_MAXIMUM" sample="0">64535</Item>'
        b'<Item name="STATISTICS_MEAN" sample="0">9000.5</Item>'
        b'<Item name="STATISTICS_MINIMUM" sample="0">20</Item>'
        b'<Item name="SCALE" sample="0" role="scale">20</Item>\0',
        b'<Item name="STATISTICS_MINIMUM" sample="0">1000</Item>'
        b'<Item name="STATISTICS_MEAN" sample="0">56534.5</Item>'
        b'<Item name="STATISTICS_MAXIMUM" sample="0">65515</Item>'
        b'<Item name="SCALE" sample="0" role="scale">20</Item>\0',
    ),
    "signed nodata": (
        having(having(gray(16), 339, SHORT, (2,)), 42113, ASCII, b"-9999\0"),
        b"-9999\0",
        b"9998\0\0",
    ),
    "smallest and largest values": (
        having(having(gray(16), 280, SHORT, (10,)), 281, SHORT, (2000,)),
        struct.pack("<HHIHHHHIHH", 280, 3, 1, 10, 0, 281, 3, 1, 2000, 0),
        struct.pack("<HHIHHHHIHH", 280, 3, 1, 63535, 0, 281, 3, 1, 65525, 0),
    ),
    "smallest and largest values, signed": (
        having(having(having(gray(8), 339, SHORT, (2,)), 340, SBYTE, (-100,)), 341, SBYTE, (20,)),
        struct.pack("<HHIb3xHHIb3x", 340, 6, 1, -100, 341, 6, 1, 20),
        struct.pack("<HHIb3xHHIb3x", 340, 6, 1, -21, 341, 6, 1, 99),
    ),
}


@pytest.mark.parametrize("name", ADAPTED)
def test_tags_about_samples_are_adapted(name: str, tmp_path: Path) -> None:
    page, old, new = ADAPTED[name]
    data = tiff(page)
    assert data.count(old) == 1
    once = negative(tmp_path, data)
    expected = data.replace(page.segments[0], complement(page.segments[0])).replace(old, new)
    if name.startswith("nodata of") or len(new.rstrip(b"\0")) == len(old.rstrip(b"\0")):
        assert once == expected
    with Image.open(BytesIO(once)) as image:
        found = dict(image.tag_v2)  # type: ignore[attr-defined]
    if 42113 in found:
        assert found[42113] == new.rstrip(b"\0").decode()
    assert _tags(negative(tmp_path, once)) == _tags(data)


def _tags(data: bytes) -> dict[int, object]:
    with Image.open(BytesIO(data)) as image:
        return dict(image.tag_v2)  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [b"-9999\0", b"nan\0", b"0.5\0", b"\0"])
def test_nodata_that_no_sample_has_stays(text: bytes, tmp_path: Path) -> None:
    page = having(Page(), 42113, ASCII, text)
    data = tiff(page)
    assert negative(tmp_path, data) == data.replace(page.segments[0], complement(page.segments[0]))


@pytest.mark.parametrize(
    ("bits", "text", "expected"),
    [
        (16, "1e+03", "64535"),
        (64, "18446744073709551615", "0"),
        (64, "9007199254740993", "18437736874454810622"),
    ],
)
def test_nodata_is_exact(bits: int, text: str, expected: str, tmp_path: Path) -> None:
    data = tiff(having(gray(bits), 42113, ASCII, text.encode() + b"\0"))
    assert expected.encode() + b"\0" in negative(tmp_path, data)


def test_nodata_that_grows_moves_to_the_end(tmp_path: Path) -> None:
    page = having(gray(16), 42113, ASCII, b"0\0")
    once = negative(tmp_path, tiff(page))
    assert _tags(once)[42113] == "65535"
    assert complement(page.segments[0]) in once


@pytest.mark.parametrize("kind", ["no", "PackBits"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_metadata_stays_byte_for_byte(kind: str, order: str, tmp_path: Path) -> None:
    page = Page(
        {
            254: (LONG, (2,)),
            270: (ASCII, b"2 \xc2\xb5m\0"),
            274: (SHORT, (6,)),
            282: (RATIONAL, (725, 10)),
            280: (SHORT, (0,)),
            296: (SHORT, (3,)),
            297: (SHORT, (0, 2)),
            321: (SHORT, (10, 200)),
            336: (SHORT, (0, 255)),
            32996: (SHORT, (2,)),
            33550: (12, (1, 2, 3)),
            33723: (LONG, (0x1C020500, 7)),
            34675: (UNDEFINED, bytes(200)),
            42112: (ASCII, b"<GDALMetadata/>\0"),
            65000: (UNDEFINED, b"\0\1\2\3\4"),
        },
        directories={34665: EXIF, 34853: GPS},
    )
    if kind == "PackBits":
        page = packed(page)
    data = tiff(page, gray(16), order=order)
    expected = data.replace(Page().segments[0], complement(Page().segments[0]))
    second = gray(16).segments[0]
    assert negative(tmp_path, data) == expected.replace(second, complement(second))


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_stays(orientation: int, tmp_path: Path) -> None:
    page = having(Page(), 274, SHORT, (orientation,))
    data = tiff(page)
    expected = data.replace(page.segments[0], complement(page.segments[0]))
    assert negative(tmp_path, data) == expected


COMPRESSIONS = {"packbits": 32773, "tiff_lzw": 5, "tiff_adobe_deflate": 8, "zstd": 50000}


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("compression", ["packbits", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_compressed_pages_are_negated(
    compression: str, predictor: int, mode: str, tmp_path: Path
) -> None:
    if compression == "packbits" and predictor != 1:
        return
    image = picture(3, (70, 50), mode) if mode != "RGBA" else picture(3, (70, 50)).convert(mode)
    fields = {317: predictor, 278: 16}
    data = encode(image, "TIFF", compression=compression, tiffinfo=fields)
    assert _tags(data).get(317, 1) == predictor
    once = negative(tmp_path, data)
    assert _tags(once)[259] == COMPRESSIONS[compression]
    expected = [
        value if mode == "RGBA" and i % 4 == 3 else 255 - value
        for i, value in enumerate(image.tobytes())
    ]
    assert decode(once).tobytes() == bytes(expected)
    assert decode(negative(tmp_path, once)).tobytes() == image.tobytes()


def test_deflated_strips_that_grow_are_found_at_their_new_places(tmp_path: Path) -> None:
    """The strips of three pages, compressed better than we do, lie around their directories."""
    data = bytes(i * i // 50 % 256 for i in range(200 * 300))
    pages = []
    for number in range(3):
        rows = [data[i : i + 2000][:: -1 if number else 1] for i in range(0, len(data), 2000)]
        page = Page(segments=[zlib.compress(each, 9) for each in rows])
        page.fields |= {256: (SHORT, (200,)), 257: (SHORT, (300,)), 278: (SHORT, (10,))}
        pages.append(having(page, 259, SHORT, (8,)))
    once = negative(tmp_path, source := tiff(*pages))
    assert len(once) < 1.3 * len(source)
    with Image.open(BytesIO(source)) as before, Image.open(BytesIO(once)) as after:
        for number in range(3):
            before.seek(number)
            after.seek(number)
            assert after.tobytes() == complement(before.tobytes())


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_directories_make_room_for_single_strips_that_grow(
    order: str, big: bool, tmp_path: Path
) -> None:
    """A stack of pages of one strip each, compressed better than we do, between directories."""
    pages, pixels = [], []
    for number in range(12):
        data = bytes((i * i // 50 + i * number) % 256 for i in range(100 * 80))
        best = min((zlib.compress(data, level, -15) for level in range(6, 10)), key=len)
        head = b"\x78\xda" + best + zlib.adler32(data).to_bytes(4, "big")
        fields: Fields = {256: (SHORT, (100,)), 257: (SHORT, (80,)), 278: (SHORT, (80,))}
        fields |= {259: (SHORT, (8,)), 315: (ASCII, b"number %d of them\0" % number)}
        below = Page(dict(fields), [head])
        pages.append(Page(fields, [head], directories={330: below, 34665: EXIF}))
        pixels.append(data)
    source = tiff(*pages, order=order, big=big)
    once = negative(tmp_path, source)
    assert len(once) < 1.15 * len(source)
    for data in (once, negative(tmp_path, once)):
        with Image.open(BytesIO(data)) as image:
            for number, each in enumerate(pixels):
                image.seek(number)
                assert image.tobytes() == (complement(each) if data is once else each)
                tags = image.tag_v2  # type: ignore[attr-defined]
                assert tags[315] == f"number {number} of them"
                assert image.getexif().get_ifd(34665)[0x9003] == "2026:01:02 03:04:05"
                (level,) = image.get_child_images()
                assert level.tobytes() == image.tobytes()


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
@pytest.mark.parametrize("inverted", [False, True])
def test_ccitt_data_stays_and_its_meaning_is_exchanged(
    compression: str, inverted: bool, tmp_path: Path
) -> None:
    image = picture(1, (400, 300), "1")
    fields = {262: 0 if inverted else 1}
    data = encode(image, "TIFF", compression=compression, tiffinfo=fields)
    once = negative(tmp_path, data)
    assert decode(once).tobytes() == complement(decode(data).tobytes())
    assert len(once) == len(data)
    assert negative(tmp_path, once) == data


def test_jpeg_data_is_negated_without_decoding_it(tmp_path: Path) -> None:
    data = encode(picture(5, (80, 60)), "TIFF", compression="jpeg", quality=90)
    once = negative(tmp_path, data)
    assert error(decode(once), negated(data)) <= 5
    assert decode(negative(tmp_path, once)).tobytes() == decode(data).tobytes()


def test_pages_may_share_strips(tmp_path: Path) -> None:
    data = bytearray(tiff(Page(), Page()))
    first, second = Page().segments * 2, 0
    places = [i for i in range(len(data)) if data.startswith(first[second], i)]
    entry = struct.pack("<HHII", 273, LONG, 1, places[1])
    shared = data.replace(entry, struct.pack("<HHII", 273, LONG, 1, places[0]))
    once = negative(tmp_path, bytes(shared))
    with Image.open(BytesIO(once)) as image:
        for number in range(2):
            image.seek(number)
            assert image.tobytes() == complement(Page().segments[0])


@pytest.mark.parametrize("compression", [1, 8])
def test_missing_tiles_become_white(compression: int, tmp_path: Path) -> None:
    page = having(tiled(gray(8)), 259, SHORT, (compression,))
    page.segments = [b""]
    page.fields |= {324: (LONG, (0,)), 325: (LONG, (0,))}
    once = negative(tmp_path, tiff(page))
    assert decode(once).tobytes() == b"\xff" * 48


def test_missing_tiles_stay_missing_data(tmp_path: Path) -> None:
    page = having(tiled(gray(8)), 42113, ASCII, b"0\0")
    page.segments = [b""]
    page.fields |= {324: (LONG, (0,)), 325: (LONG, (0,))}
    tags = _tags(negative(tmp_path, tiff(page)))
    assert (tags[324], tags[325], tags[42113]) == ((0,), (0,), "255")


def retagged(data: bytes, tags: dict[int, int]) -> bytes:
    """Return a little-endian file whose fields of type SHORT or LONG have other tags."""
    for old, new in tags.items():
        for kind in (SHORT, LONG):
            data = data.replace(
                struct.pack("<HHI", old, kind, 1), struct.pack("<HHI", new, kind, 1)
            )
    return data


@pytest.mark.parametrize(
    ("page", "tags"),
    [
        (gray(16), {262: 65000}),
        (rgb(), {262: 65000}),
        (tiled(gray(8)), {324: 273, 325: 279}),
    ],
    ids=["gray without photometric", "rgb without photometric", "tiles by strips' tags"],
)
def test_what_readers_tolerate_is_negated(page: Page, tags: dict[int, int], tmp_path: Path) -> None:
    data = retagged(tiff(page), tags)
    expected = data
    for segment in page.segments:
        expected = expected.replace(segment, complement(segment))
    assert negative(tmp_path, data) == expected


def test_a_subifd_that_is_also_in_a_chain_is_negated_once(tmp_path: Path) -> None:
    data = bytearray(tiff(Page(), gray(16)))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    link = first + 2 + 12 * count
    second = data[link : link + 4]
    # The directory of the first page, at the end, with the second page as its SubIFD and its next.
    entries = [bytes(data[i : i + 12]) for i in range(first + 2, link, 12)]
    entries.append(struct.pack("<HHI", 330, LONG, 1) + second)
    data[4:8] = len(data).to_bytes(4, "little")
    data += struct.pack("<H", count + 1) + b"".join(entries) + second
    once = negative(tmp_path, bytes(data))
    expected = bytes(data)
    for segment in segments(Page(), gray(16)):
        expected = expected.replace(segment, complement(segment))
    assert once == expected


def test_an_imagej_stack_with_one_directory_is_negated_whole(tmp_path: Path) -> None:
    text = b"ImageJ=1.53\nimages=3\nslices=3\n\0"
    page = having(gray(16), 270, ASCII, text)
    pixels = page.segments[0]
    further = pixels[::-1] + pixels[1:] + b"\0"
    page.segments = [pixels + further]
    page.fields[279] = (LONG, (len(pixels),))
    data = tiff(page, order=">")
    expected = data.replace(page.segments[0], complement(page.segments[0]))
    assert negative(tmp_path, data) == expected


def nih_header(images: int, order: str = ">") -> bytes:
    """Return the header of NIH Image for a stack of so many images."""
    return (b"IPICIMAG" + bytes(252) + struct.pack(order + "h", images)).ljust(512, b"\0")


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_nih_image_stack_with_one_directory_is_negated_whole(order: str, tmp_path: Path) -> None:
    page = having(gray(8), 43314, UNDEFINED, nih_header(3, order))
    pixels = page.segments[0]
    page.segments = [pixels + pixels[::-1] + pixels[1:] + b"\0"]
    page.fields[279] = (LONG, (len(pixels),))
    data = tiff(page, order=order)
    expected = data.replace(page.segments[0], complement(page.segments[0]))
    assert negative(tmp_path, data) == expected


@pytest.mark.parametrize("count", [1, 2])
def test_truncated_series_of_tifffile_are_negated_whole(count: int, tmp_path: Path) -> None:
    text = b'{"shape": [3, 6, 8], "axes": "TYX", "truncated": true}\0'
    pages, images = [], []
    for _ in range(count):
        page = gray(16)
        having(page, 270, ASCII, text)
        pixels = page.segments[0]
        page.fields[279] = (LONG, (len(pixels),))
        page.segments = [pixels + pixels[::-1] + pixels[1:] + b"\1"]
        pages.append(page)
        images.append(page.segments[0])
    data = tiff(*pages)
    expected = data
    for image in set(images):
        expected = expected.replace(image, complement(image))
    assert expected != data
    assert negative(tmp_path, data) == expected


def test_previews_in_metadata_are_negated(tmp_path: Path) -> None:
    base = base64.b64encode(PREVIEW)
    inner = Page({0x927C: (UNDEFINED, b"maker's" + PREVIEW + bytes(64))})
    page = Page(
        {
            270: (ASCII, b"<Attribute>" + base + b"</Attribute>\0"),
            700: (BYTE, b"<xmpGImg:image>" + base + b"</xmpGImg:image>"),
        },
        directories={34665: inner},
    )
    once = negative(tmp_path, tiff(page))
    assert base not in once
    assert PREVIEW not in once
    (text,) = {_tags(once)[270]}
    assert isinstance(text, str)
    stored = base64.b64decode(text.removeprefix("<Attribute>").removesuffix("</Attribute>"))
    assert error(decode(stored), negated(PREVIEW)) <= 5


def test_photoshops_layers_are_dropped_with_a_note(tmp_path: Path) -> None:
    layers = b"Adobe Photoshop Document Data Block\0" + bytes(range(100))
    fields = {270: (ASCII, b"text\0"), 37724: (UNDEFINED, layers), 65000: (LONG, (7, 8))}
    data = tiff(Page(dict(fields)), Page())  # type: ignore[arg-type]
    once = negative(tmp_path, data)
    assert notes(tmp_path, data) == ["dropped Photoshop's layers (tag ImageSourceData)"]
    assert layers not in once
    found = _tags(once)
    assert (found[270], found[65000], 37724 in found) == ("text", (7, 8), False)
    with Image.open(BytesIO(once)) as image:
        assert getattr(image, "n_frames", 1) == 2


def test_content_credentials_are_dropped_with_a_note(tmp_path: Path) -> None:
    store = bytes(range(100))
    data = tiff(having(Page({65000: (LONG, (7, 8))}), 52545, UNDEFINED, store))
    assert notes(tmp_path, data)[0].startswith("content credentials (C2PA) were dropped")
    once = negative(tmp_path, data)
    assert store not in once
    found = _tags(once)
    assert (found[65000], 52545 in found) == ((7, 8), False)


def test_a_thumbnail_that_is_a_jpeg_file_is_negated(tmp_path: Path) -> None:
    thumbnail = Page(segments=[PREVIEW])
    data = bytearray(tiff(Page(), thumbnail))
    at = data.index(PREVIEW)
    for old, new in ((273, 513), (279, 514)):
        data = data.replace(
            struct.pack("<HHII", old, LONG, 1, at if old == 273 else len(PREVIEW)),
            struct.pack("<HHII", new, LONG, 1, at if old == 273 else len(PREVIEW)),
        )
    once = negative(tmp_path, bytes(data))
    assert PREVIEW not in once
    assert error(decode(once[once.index(b"\xff\xd8\xff") :]), negated(PREVIEW)) <= 5


#: A refused file, a pattern of its reason, and a sibling that is negated.
REFUSED: dict[str, tuple[Callable[[], bytes], str, Callable[[], bytes]]] = {
    "float": (
        lambda: tiff(having(gray(32), 339, SHORT, (3,))),
        "floating-point samples",
        lambda: tiff(having(gray(32), 339, SHORT, (1,))),
    ),
    "float by the obsolete tag": (
        lambda: tiff(having(gray(32), 32996, SHORT, (3,))),
        "floating-point by the obsolete tag",
        lambda: tiff(having(gray(32), 32996, SHORT, (2,))),
    ),
    "complex": (
        lambda: tiff(having(gray(32), 339, SHORT, (6,))),
        "complex samples",
        lambda: tiff(gray(32)),
    ),
    "lab": (
        lambda: tiff(rgb(photometric=8)),
        "its colors are not supported.*CIELab",
        lambda: tiff(rgb()),
    ),
    "no photometric interpretation": (
        lambda: tiff(having(Page(), 262, SHORT, (77,))),
        "photometric interpretation 77",
        lambda: tiff(Page()),
    ),
    "video range": (
        lambda: tiff(
            having(
                having(rgb(3, 8, 6), 530, SHORT, (1, 1)),
                *(532, RATIONAL, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1)),
            )
        ),
        "full range only",
        lambda: tiff(
            having(
                having(rgb(3, 8, 6), 530, SHORT, (1, 1)),
                *(532, RATIONAL, (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1)),
            )
        ),
    ),
    "dng": (
        lambda: tiff(having(Page(), 50706, BYTE, (1, 4, 0, 0))),
        "camera raw.*DNGVersion",
        lambda: tiff(Page()),
    ),
    "dng, page 2": (
        lambda: tiff(Page(), having(Page(), 50706, BYTE, (1, 4, 0, 0))),
        "camera raw.*DNGVersion",
        lambda: tiff(Page(), Page()),
    ),
    "cfa": (
        lambda: tiff(having(Page(), 262, SHORT, (32803,))),
        "camera raw.*CFA",
        lambda: tiff(Page()),
    ),
    "cfa in a SubIFD": (
        lambda: tiff(Page(directories={330: having(Page(), 262, SHORT, (32803,))})),
        "camera raw.*CFA",
        lambda: tiff(Page(directories={330: Page()})),
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
    "surplus tiles": (lambda: tiff(tiled(Page(), 3)), "lists 3 tiles", lambda: tiff(tiled(Page()))),
    "surplus strips": (
        lambda: tiff(Page(segments=[bytes(48)] * 2)),
        "lists 2 strips",
        lambda: tiff(having(Page(segments=[bytes(24)] * 2), 278, SHORT, (3,))),
    ),
    "short strip": (
        lambda: tiff(Page(segments=[bytes(47)])),
        "a strip with too few bytes",
        lambda: tiff(Page(segments=[bytes(48)])),
    ),
    "strip beyond the end": (
        lambda: tiff(having(Page(), 273, LONG, (1_000_000,))),
        "truncated",
        lambda: tiff(Page()),
    ),
    "overlapping pages": (
        lambda: tiff(having(Page(), 273, LONG, (20,)), Page()),
        "overlap",
        lambda: tiff(Page(), Page()),
    ),
    "a strip over a directory": (
        lambda: tiff(having(having(Page(), 273, LONG, (58,)), 256, SHORT, (1,))),
        "overlap",
        lambda: tiff(Page()),
    ),
    "two extra channels, the second associated alpha": (
        lambda: tiff(having(rgb(5), 338, SHORT, (0, 1))),
        "associated",
        lambda: tiff(having(rgb(5), 338, SHORT, (2, 0))),
    ),
    "associated alpha in planes": (
        lambda: tiff(planar(having(rgb(4), 338, SHORT, (1,)))),
        "associated.*separate planes",
        lambda: tiff(planar(having(rgb(4), 338, SHORT, (2,)))),
    ),
    "too many kinds of channels": (
        lambda: tiff(having(rgb(), 338, SHORT, (2,))),
        "number of channels does not match",
        lambda: tiff(having(rgb(4), 338, SHORT, (2,))),
    ),
    "two channels of rgb": (
        lambda: tiff(rgb(2)),
        "number of channels does not match",
        lambda: tiff(rgb()),
    ),
    "nodata in alpha": (
        lambda: tiff(having(having(rgb(4), 338, SHORT, (2,)), 42113, ASCII, b"0\0")),
        "GDAL_NODATA",
        lambda: tiff(having(rgb(3), 42113, ASCII, b"0\0")),
    ),
    "largest value beyond the bits": (
        lambda: tiff(having(having(Page(), 280, SHORT, (0,)), 281, SHORT, (999,))),
        "smallest and largest sample values",
        lambda: tiff(having(having(Page(), 280, SHORT, (0,)), 281, SHORT, (200,))),
    ),
    "largest value alone": (
        lambda: tiff(having(Page(), 281, SHORT, (200,))),
        "not both there",
        lambda: tiff(having(Page(), 281, SHORT, (255,))),
    ),
    "predictor without effect in libtiff": (
        lambda: tiff(having(packed(Page()), 317, SHORT, (2,))),
        "readers differ on whether its predictor",
        lambda: tiff(having(packed(Page()), 317, SHORT, (1,))),
    ),
    "predictor of 12 bits": (
        lambda: tiff(having(compressed(gray(12), 8, zlib.compress(bytes(72))), 317, SHORT, (2,))),
        "8, 16 and 32 bits only.*12 bits per sample",
        lambda: tiff(compressed(gray(12), 8, zlib.compress(bytes(72)))),
    ),
    "floating-point predictor": (
        lambda: tiff(having(compressed(gray(32), 8, zlib.compress(bytes(192))), 317, SHORT, (3,))),
        "predictor 3",
        lambda: tiff(having(compressed(gray(32), 8, zlib.compress(bytes(192))), 317, SHORT, (2,))),
    ),
    "fill order 2 of compressed data": (
        lambda: tiff(having(packed(rgb()), 266, SHORT, (2,))),
        "fill order",
        lambda: tiff(having(packed(rgb()), 266, SHORT, (1,))),
    ),
    "webp in tiff": (
        lambda: tiff(having(Page(), 259, SHORT, (50001,))),
        "WebP compression",
        lambda: tiff(packed(Page())),
    ),
    "old-style jpeg": (
        lambda: tiff(having(rgb(), 259, SHORT, (6,))),
        "old-style JPEG, which readers decode differently",
        lambda: tiff(rgb()),
    ),
    "unknown compression": (
        lambda: tiff(having(Page(), 259, SHORT, (999,))),
        r"unknown \(999\) compression, 8 bits per sample, 1 channel",
        lambda: tiff(Page()),
    ),
    "damaged LZW": (
        lambda: tiff(having(Page(), 259, SHORT, (5,))),
        "LZW",
        lambda: tiff(packed(Page())),
    ),
    "damaged palette": (
        lambda: tiff(having(having(rgb(1, 8, 3), 320, SHORT, (7,) * 768), 259, SHORT, (8,))),
        "Deflate data is damaged",
        lambda: tiff(having(rgb(1, 8, 3), 320, SHORT, (7777,) * 768)),
    ),
    "short color map": (
        lambda: tiff(having(rgb(1, 8, 3), 320, SHORT, (7777,) * 48)),
        "color map",
        lambda: tiff(having(rgb(1, 8, 3), 320, SHORT, (7777,) * 768)),
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
    "ImageJ stack that is cut": (
        lambda: tiff(having(Page(), 270, ASCII, b"ImageJ=1.53\nimages=99999\n\0")),
        "truncated: it is a stack",
        lambda: tiff(having(Page(), 270, ASCII, b"ImageJ=1.53\nimages=1\n\0")),
    ),
    "compressed ImageJ stack": (
        lambda: tiff(having(packed(Page()), 270, ASCII, b"ImageJ=1.53\nimages=2\n\0")),
        "a stack with fewer directories",
        lambda: tiff(having(packed(Page()), 270, ASCII, b"ImageJ=1.53\nimages=1\n\0")),
    ),
    "ImageJ stack with a few directories": (
        lambda: tiff(having(Page(), 270, ASCII, b"ImageJ=1.53\nimages=3\n\0"), Page()),
        "a stack with fewer directories",
        lambda: tiff(having(Page(), 270, ASCII, b"ImageJ=1.53\nimages=2\n\0"), Page()),
    ),
    "NIH Image stack that is cut": (
        lambda: tiff(having(Page(), 43314, UNDEFINED, nih_header(9999)), order=">"),
        "truncated: it is a stack",
        lambda: tiff(having(Page(), 43314, UNDEFINED, nih_header(0)), order=">"),
    ),
    "NIH Image stack with a few directories": (
        lambda: tiff(having(Page(), 43314, UNDEFINED, nih_header(3)), Page(), order=">"),
        "a stack with fewer directories",
        lambda: tiff(having(Page(), 43314, UNDEFINED, nih_header(2)), Page(), order=">"),
    ),
    "mask of JPEG data": (
        lambda: tiff(Page(), having(having(Page(), 254, LONG, (4,)), 259, SHORT, (7,))),
        "JPEG compression is not supported for masks",
        lambda: tiff(Page(), having(Page(), 254, LONG, (4,))),
    ),
    "volume": (
        lambda: tiff(having(Page(), 32997, SHORT, (2,))),
        "volumes",
        lambda: tiff(having(Page(), 32997, SHORT, (1,))),
    ),
    "MetaMorph stack": (
        lambda: tiff(having(Page(), 33629, RATIONAL, (1, 1) * 6)),
        "MetaMorph",
        lambda: tiff(having(Page(), 33628, LONG, (1,))),
    ),
    "BigTIFF with offsets of 4 bytes": (
        lambda: tiff(Page(), big=True).replace(b"II+\0\x08", b"II+\0\x04", 1),
        "the BigTIFF's header is damaged: it must have offsets of 8 bytes, not 4",
        lambda: tiff(Page(), big=True),
    ),
    "loop of pages": (
        lambda: tiff(Page())[:-4] + tiff(Page())[4:8],
        "loop",
        lambda: tiff(Page()),
    ),
    "too large": (
        lambda: tiff(having(having(Page(), 256, LONG, (1 << 20,)), 257, LONG, (1 << 20,))),
        "limits.pixels",
        lambda: tiff(Page()),
    ),
}


def damaged_fax(compression: str) -> bytes:
    """Return a bilevel TIFF with a complemented part in its data."""
    data = encode(picture(1, (400, 300), "1"), "TIFF", compression=compression)
    return data[:600] + complement(data[600:664]) + data[664:]


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_cannot_be_kept_whole_are_refused(name: str, tmp_path: Path) -> None:
    bad, reason, good = REFUSED[name]
    assert negative(tmp_path, good())
    with pytest.raises(InvalidInput, match=reason) as caught:
        negative(tmp_path, bad())
    assert "\n" not in str(caught.value)


def test_offsets_of_4_bytes_in_a_bigtiff_become_longer_where_they_must() -> None:
    places = [Place(5 << 30, 48)]
    big, small = (
        tiff_directories.read(memoryview(tiff(Page(), big=each))) for each in (True, False)
    )
    offsets = of_blocks(big.pages[0], places, is_big=True)[273]
    assert offsets == Value(16, 1, struct.pack("<Q", 5 << 30))
    with pytest.raises(InvalidInput, match="convert it to BigTIFF"):
        of_blocks(small.pages[0], places, is_big=False)


def test_the_reason_says_which_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"CIELab \(page 2\)"):
        negative(tmp_path, tiff(Page(), rgb(photometric=8)))
    with pytest.raises(InvalidInput, match=r"CIELab \(a SubIFD of page 1\)"):
        negative(tmp_path, tiff(Page(directories={330: rgb(photometric=8)})))


@pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")
@pytest.mark.parametrize("path", sorted(CASES.glob("*.tif*")), ids=lambda path: path.name)
def test_files_that_were_damaged_before_are_right_or_refused(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    try:
        once = negative(tmp_path, data)
    except InvalidInput as refusal:
        assert path.name == "tiff-called-not-tiff.tif"
        assert "associated (premultiplied) alpha" in str(refusal)
        return
    assert once != data
    if path.name not in ("cog-overviews-lost.tif", "rgb16-to-8.tiff"):  # encoded again, or moved
        assert negative(tmp_path, once) == data
