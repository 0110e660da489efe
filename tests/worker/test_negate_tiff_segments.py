"""What is inside of a TIFF's strips: compressions, differences, associated alpha, JPEG streams."""

import itertools
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pytest
from backports import zstd
from PIL import Image

from tests.worker.negation import negative
from tests.worker.pictures import decode, encode, error, picture
from tests.worker.tiff_files import SHORT, UNDEFINED, Page, tiff
from worker.errors import InvalidInput
from worker.transforms.pictures import tiff_directories

pytestmark = pytest.mark.usefixtures("compiled")
LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD = 5, 7, 8, 32946, 32773, 50000
CLEAR, END = 256, 257
Pixels = list[list[list[int]]]


def lzw(data: bytes, *, old: bool = False) -> bytes:
    """Return LZW code (TIFF 6.0, section 13); old: in the order of bits before TIFF 6.0."""
    bits: list[int] = []

    def put(code: int, width: int) -> None:
        binary = f"{code:0{width}b}"
        bits.extend(map(int, reversed(binary) if old else binary))

    codes = {bytes([i]): i for i in range(256)}
    width, string = 9, b""
    put(CLEAR, width)
    for value in data:
        longer = string + bytes([value])
        if longer in codes:
            string = longer
            continue
        put(codes[string], width)
        codes[longer] = len(codes) + 2
        width = max(width, (len(codes) + 2 - old).bit_length())
        string = bytes([value])
        if len(codes) + 2 == 4094:
            put(CLEAR, width)
            codes, width = {bytes([i]): i for i in range(256)}, 9
    put(codes[string], width)
    put(END, max(width, (len(codes) + 2 - old).bit_length()))
    bits += [0] * (-len(bits) % 8)
    groups = (bits[i : i + 8] for i in range(0, len(bits), 8))
    return bytes(int("".join(map(str, group[:: -1 if old else 1])), 2) for group in groups)


def unlzw(code: bytes) -> bytes:
    """Decode LZW."""
    binary = "".join(f"{byte:08b}" for byte in code)
    strings, data, at, width, before = [b""], b"", 0, 9, b""
    while (value := int(binary[at : at + width], 2)) != END:
        at += width
        if value == CLEAR:
            strings, width, before = [bytes([i % 256]) for i in range(258)], 9, b""
            continue
        if before:
            strings.append(before + (strings[value] if value < len(strings) else before)[:1])
            width = max(width, (len(strings) + 1).bit_length())
        before = strings[value]
        data += before
    return data


def packbits(data: bytes) -> bytes:
    """Return PackBits code (TIFF 6.0, section 9)."""
    code = []
    for value, group in itertools.groupby(data):
        count = len(list(group))
        for at in range(0, count, 128):
            part = min(128, count - at)
            code.append(bytes([257 - part, value]) if part > 1 else bytes([0, value]))
    return b"".join(code)


def unpacked(code: bytes) -> bytes:
    """Decode PackBits."""
    data, at = b"", 0
    while at < len(code):
        head, at = code[at], at + 1
        count = head + 1 if head < 128 else 257 - head
        data += code[at : at + count] if head < 128 else code[at : at + 1] * count
        at += count if head < 128 else 1
    return data


CODECS: dict[int, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    LZW: (lzw, unlzw),
    DEFLATE: (zlib.compress, zlib.decompress),
    OLD_DEFLATE: (zlib.compress, zlib.decompress),
    PACKBITS: (packbits, unpacked),
    ZSTD: (zstd.compress, zstd.decompress),
}


def page(
    data: bytes, compression: int, size: tuple[int, int], bits: Sequence[int], *, predictor: int = 1
) -> Page:
    """Return a page of one strip."""
    fields = {256: size[0], 257: size[1], 259: compression, 277: len(bits), 278: size[1]}
    fields |= {262: 1 if len(bits) <= 2 else 2, 317: predictor}
    made = Page({tag: (SHORT, (value,)) for tag, value in fields.items()}, [data])
    made.fields[258] = (SHORT, tuple(bits))
    return made


def stored(pixels: Pixels, bits: int, order: str, *, predictor: int) -> bytes:
    """Return pixels as they are before compression."""
    rows = b""
    for row in pixels:
        before = [0] * len(row[0])
        for pixel in row:
            values = pixel
            if predictor == 2:
                values = [(a - b) % (1 << bits) for a, b in zip(pixel, before, strict=True)]
                before = pixel
            rows += struct.pack(
                f"{order}{len(values)}{ {8: 'B', 16: 'H', 32: 'I'}[bits] }", *values
            )
    return rows


def noise(width: int, height: int, channels: int, bits: int) -> Pixels:
    """Return random samples, among them the smallest and the largest."""
    dice = random.Random(channels * bits)  # noqa: S311
    most = (1 << bits) - 1
    return [
        [
            [dice.choice((0, most, dice.randrange(most))) for _ in range(channels)]
            for _ in range(width)
        ]
        for _ in range(height)
    ]


def mixed(count: int) -> bytes:
    """Return random bytes, some of them much more frequent than others."""
    return bytes(random.Random(1).choices(range(256), [1000, *range(255)], k=count))  # noqa: S311


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("alpha", [None, "unassociated", "associated"])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("compression", CODECS)
def test_each_compression_is_decoded_and_encoded(  # noqa: PLR0917
    compression: int, predictor: int, alpha: str | None, bits: int, order: str, tmp_path: Path
) -> None:
    if (compression, predictor) == (PACKBITS, 2):
        return
    before = noise(13, 7, 4 if alpha else 3, bits)
    if alpha == "associated":
        before = [[[min(c, p[3]) for c in p] for p in row] for row in before]
    after = [
        [
            [(p[3] if alpha == "associated" else (1 << bits) - 1) - c for c in p[:3]] + p[3:]
            for p in row
        ]
        for row in before
    ]
    encode_, decode_ = CODECS[compression]
    code = encode_(stored(before, bits, order, predictor=predictor))
    one = page(code, compression, (13, 7), (bits,) * (4 if alpha else 3), predictor=predictor)
    if alpha:
        one.fields[338] = (SHORT, (1 if alpha == "associated" else 2,))
    once = negative(tmp_path, tiff(one, order=order))
    assert decode_(strip(once)) == stored(after, bits, order, predictor=predictor)
    twice = strip(negative(tmp_path, once))
    assert decode_(twice) == stored(before, bits, order, predictor=predictor)


def strip(data: bytes) -> bytes:
    """Return the only strip of a TIFF."""
    page = tiff_directories.read(memoryview(data)).pages[0]
    offset = page.number(273, 0)
    return data[offset : offset + page.number(279, 0)]


@pytest.mark.parametrize(("compression", "encoder"), [(LZW, lzw), (PACKBITS, packbits)])
def test_code_of_complemented_bytes_stays_as_long(
    compression: int, encoder: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Only the literals change: neither offsets nor byte counts do."""
    data = mixed(200 * 100)
    one = page(encoder(data), compression, (200, 100), (8,))
    once = negative(tmp_path, tiff(one))
    assert once == tiff(page(encoder(bytes(255 - v for v in data)), compression, (200, 100), (8,)))


def test_lzw_in_the_old_order_of_bits_stays_in_it(tmp_path: Path) -> None:
    data = mixed(200 * 100)
    once = negative(tmp_path, tiff(page(lzw(data, old=True), LZW, (200, 100), (8,))))
    assert once == tiff(page(lzw(bytes(255 - v for v in data), old=True), LZW, (200, 100), (8,)))


@pytest.mark.parametrize("compression", [LZW, DEFLATE, ZSTD, PACKBITS])
def test_a_long_strip_is_negated_piece_by_piece(compression: int, tmp_path: Path) -> None:
    image = picture(5, (330, 250), "RGBA")
    code = CODECS[compression][0](image.tobytes())
    one = page(code, compression, image.size, (8,) * 4)
    one.fields[338] = (SHORT, (2,))
    data = tiff(one)
    expected = [v if i % 4 == 3 else 255 - v for i, v in enumerate(image.tobytes())]
    assert decode(once := negative(tmp_path, data)).tobytes() == bytes(expected)
    assert decode(negative(tmp_path, once)).tobytes() == image.tobytes()


def test_a_color_above_its_associated_alpha_is_refused(tmp_path: Path) -> None:
    one = page(bytes((1, 2, 3, 9, 4, 5, 6, 5)), 1, (2, 1), (8,) * 4)
    one.fields[338] = (SHORT, (1,))
    with pytest.raises(InvalidInput, match="a color exceeds the associated"):
        negative(tmp_path, tiff(one))


GOOD = bytes(range(200)) * 3
DAMAGED = {
    "short LZW": (LZW, lzw(GOOD[:500]), "too few bytes"),
    "LZW": (LZW, b"\x80\x7f\xff\xff" + lzw(GOOD)[4:], "the TIFF's LZW data is damaged"),
    "short PackBits": (PACKBITS, packbits(GOOD[:500]), "too few bytes"),
    "PackBits": (PACKBITS, packbits(GOOD)[:-1], "the TIFF's PackBits data is damaged"),
    "short Deflate": (DEFLATE, zlib.compress(GOOD[:500]), "too few bytes"),
    "cut Deflate": (DEFLATE, zlib.compress(GOOD)[:100], "too few bytes"),
    "checksum of Deflate": (DEFLATE, zlib.compress(GOOD)[:-1] + b"?", "Deflate data is damaged"),
    "Deflate": (OLD_DEFLATE, b"x\x9c" + GOOD, "Deflate data is damaged"),
    "short Zstandard": (ZSTD, zstd.compress(GOOD[:500]), "too few bytes"),
    "cut Zstandard": (ZSTD, zstd.compress(GOOD)[:100], "too few bytes"),
    "Zstandard": (ZSTD, GOOD, "the TIFF's Zstandard data is damaged"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("channels", [1, 2])  # with alpha, code is always decoded
def test_a_damaged_strip_is_refused(name: str, channels: int, tmp_path: Path) -> None:
    compression, code, reason = DAMAGED[name]
    one = page(code, compression, (600 // channels, 1), (8,) * channels)
    if channels > 1:
        one.fields[338] = (SHORT, (2,))
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, tiff(one))


def test_code_after_the_last_pixel_is_ignored(tmp_path: Path) -> None:
    """As readers do; the strip does not end with the code of its end."""
    one = page(lzw(GOOD)[:-2] + b"\xff" * 9, LZW, (590, 1), (8,))
    once = negative(tmp_path, tiff(one))
    assert decode(once).tobytes() == bytes(255 - v for v in GOOD[:590])


# ---- JPEG (7)


def parted(jpeg: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG's tables as JPEGTables has them, and its stream without them."""
    tables, stream, at = b"", jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] in (0xC4, 0xDB):
            tables += jpeg[at:end]
        elif jpeg[at + 1] != 0xE0:  # without JFIF
            stream += jpeg[at:end]
        at = end
    return b"\xff\xd8" + tables + b"\xff\xd9", stream + jpeg[at:]


def jpeg_page(image: Image.Image, photometric: int, *, shared: bool) -> Page:
    """Return a page whose JPEG stream has its tables in a tag, or itself."""
    tables, stream = parted(data := encode(image, "JPEG", quality=92, subsampling=0))
    channels = len(image.getbands())
    one = page(stream if shared else data, JPEG, image.size, (8,) * channels)
    one.fields[262] = (SHORT, (photometric,))
    if shared:
        one.fields[347] = (UNDEFINED, tables)
    return one


def test_alpha_in_a_jpeg_stream_stays(tmp_path: Path) -> None:
    """Of four components without a known color space, as GDAL writes them."""
    image = picture(6, (61, 47), "CMYK")
    tables, stream = parted(encode(image, "JPEG", quality=92, subsampling=0))
    adobe = stream.index(b"\xff\xee\x00\x0eAdobe")
    one = page(stream[:adobe] + stream[adobe + 16 :], JPEG, image.size, (8,) * 4)
    one.fields |= {347: (UNDEFINED, tables), 338: (SHORT, (2,))}
    data = tiff(one)
    once = negative(tmp_path, data)
    before, after = (decode(each) for each in (data, once))
    assert before.mode == after.mode == "RGBA"
    assert after.getchannel("A").tobytes() == before.getchannel("A").tobytes()
    colors = before.convert("RGB").point(lambda value: 255 - value)
    assert error(after.convert("RGB"), colors) <= 4
    assert decode(negative(tmp_path, once)).tobytes() == before.tobytes()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("mode", "photometric"), [("L", 1), ("L", 0), ("RGB", 6), ("CMYK", 5)])
def test_a_jpeg_stream_is_negated_without_loss(
    mode: str, photometric: int, shared: bool, tmp_path: Path
) -> None:
    data = tiff(jpeg_page(picture(6, (61, 47), mode), photometric, shared=shared))
    once = negative(tmp_path, data)
    expected = decode(data).point(lambda value: 255 - value)
    assert error(decode(once), expected) <= 4
    assert decode(negative(tmp_path, once)).tobytes() == decode(data).tobytes()


def test_the_photometric_interpretation_says_what_components_are(tmp_path: Path) -> None:
    """Of RGB all are complemented, although the stream has neither Adobe's marker nor R, G, B."""
    one = jpeg_page(picture(6, (61, 47)), 2, shared=True)
    data = tiff(one)
    once = negative(tmp_path, data)
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(once)) as after:
        assert error(after, before.point(lambda value: 255 - value)) <= 4


def test_shared_tables_that_lack_a_code_stay_as_they_are(tmp_path: Path) -> None:
    """Optimized tables have no code for the new first difference: K.3 is put into the stream."""
    flat = Image.new("L", (64, 64), 128)
    flat.paste(Image.new("L", (8, 8), 131), (8, 8))
    tables, stream = parted(encode(flat, "JPEG", quality=100, optimize=True))
    one = page(stream, JPEG, (64, 64), (8,))
    one.fields[347] = (UNDEFINED, tables)
    once = negative(tmp_path, data := tiff(one))
    assert tables in once
    assert error(decode(once), decode(data).point(lambda value: 255 - value)) <= 2


JPEGS: dict[str, tuple[Callable[[], Page], str]] = {
    "too small": (
        lambda: _resized(jpeg_page(picture(6, (61, 40)), 6, shared=True), (61, 47)),
        "has 61 × 40 pixels where 61 × 47 are needed",
    ),
    "other components": (
        lambda: _deepened(jpeg_page(picture(6, (61, 47)), 6, shared=True)),
        "has 3 × 8 bits per pixel where 1 × 8 are needed",
    ),
    "cut": (
        lambda: _cut(jpeg_page(picture(6, (61, 47)), 6, shared=True)),
        "the TIFF's JPEG data is truncated",
    ),
    "lossless": (
        lambda: _lossless(jpeg_page(picture(6, (61, 47)), 6, shared=True)),
        r"lossless JPEG \(SOF3\) in a TIFF is not supported",
    ),
    "no JPEG": (lambda: page(GOOD, JPEG, (20, 10), (8,)), "does not begin as such"),
}


def _resized(one: Page, size: tuple[int, int]) -> Page:
    for tag, value in ((256, size[0]), (257, size[1]), (278, size[1])):
        one.fields[tag] = (SHORT, (value,))
    return one


def _deepened(one: Page) -> Page:
    one.fields |= {258: (SHORT, (8,)), 277: (SHORT, (1,)), 262: (SHORT, (1,))}
    return one


def _lossless(one: Page) -> Page:
    one.segments = [one.segments[0].replace(b"\xff\xc0", b"\xff\xc3")]
    return one


def _cut(one: Page) -> Page:
    one.segments = [one.segments[0][: len(one.segments[0]) // 2]]
    return one


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_stream_that_is_not_the_strip_is_refused(name: str, tmp_path: Path) -> None:
    make, reason = JPEGS[name]
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, tiff(make()))
