"""PNG, GIF, BMP, PNM, WebP and JPEG of every kind: negatives by decoders that are not ours."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from bench.imagemagick import find_convert
from tests.pictures import decoders
from tests.pictures.exiftool import ExifTool
from tests.worker.negation import MAX_PIXELS
from worker.transforms import negate

pytestmark = [
    pytest.mark.usefixtures("compiled"),
    pytest.mark.skipif(find_convert() is None, reason="no ImageMagick"),
]
Array = Any  # numpy's, which mypy does not follow
Pair = tuple[bytes, bytes]  # a file and its negative
HEIGHT, WIDTH = 23, 37
_LOSSY = 12  # the largest difference of a sample that is decoded to RGB


def noise(bands: int, largest: int = 255) -> Array:
    """Return rows × columns × bands: noise, with the extremes."""
    values = np.random.default_rng(bands).integers(0, largest + 1, (HEIGHT, WIDTH, bands))
    values[:5, :5], values[5:9, :5] = 0, largest
    return values


def smooth(bands: int) -> Array:
    """Return rows × columns × bands of 8 bits, which lossy formats hold well."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [rows * (2 + band) + columns * 3 for band in range(bands)]
    # No pixel is quite transparent: what is under it would depend on the decoder.
    return np.stack(waves, -1).clip(1, 255).astype(np.uint8)


# PNM: netpbm's pbm(5), pgm(5), ppm(5), pam(5)


def _raster(values: Array, maxval: int) -> bytes:
    stored: Array = values.astype(np.uint8 if maxval < 256 else ">u2")
    data: bytes = stored.tobytes()
    return data


def _pnm(kind: int, maxval: int = 255, comment: str = "") -> Pair:
    maxval = 1 if kind in (1, 4) else maxval
    header = f"P{kind}\n{comment}{WIDTH} {HEIGHT}\n" + ("" if kind in (1, 4) else f"{maxval}\n")
    values = noise(3 if kind in (3, 6) else 1, maxval)

    def written(values: Array) -> bytes:
        if kind < 4:
            lines = "\n".join(" ".join(map(str, row.ravel())) for row in values)
            return (header + lines + "\n").encode()
        if kind == 4:
            bits = np.packbits(values[:, :, 0].astype(np.uint8), axis=1)
            return header.encode() + bytes(bits.tobytes())
        return header.encode() + _raster(values, maxval)

    return written(values), written(maxval - values)


def _pam(bands: int, kind: str, maxval: int) -> Pair:
    header = f"P7\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH {bands}\nMAXVAL {maxval}\n"
    header += f"TUPLTYPE {kind}\nENDHDR\n"
    values = noise(bands, maxval)
    negative = maxval - values
    if kind.endswith("_ALPHA"):
        negative[:, :, -1] = values[:, :, -1]
    return header.encode() + _raster(values, maxval), header.encode() + _raster(negative, maxval)


def _together(*pairs: Pair) -> Pair:
    return b"".join(one for one, _ in pairs), b"".join(other for _, other in pairs)


def _pnms() -> Iterator[tuple[str, Pair]]:
    for kind, maxval in product((2, 3, 5, 6), (1, 3, 100, 255, 256, 1000, 4095, 65535)):
        yield f"pnm/P{kind}-{maxval}", _pnm(kind, maxval)
    for kind in range(1, 7):
        yield f"pnm/P{kind}-comment", _pnm(kind, comment="# a comment\n")
    for maxval in (1, 200, 255, 1023, 65535):
        for bands, name in enumerate(("GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA"), 1):
            yield f"pam/{name}-{maxval}", _pam(bands, name, maxval)
    yield "pam/BLACKANDWHITE", _pam(1, "BLACKANDWHITE", 1)
    yield "pam/BLACKANDWHITE_ALPHA", _pam(2, "BLACKANDWHITE_ALPHA", 1)
    yield "pnm/two", _together(_pnm(6), _pnm(6, 65535))
    yield "pnm/three-kinds", _together(_pnm(4), _pnm(5, 100), _pnm(6))


# BMP: Microsoft's BITMAPCOREHEADER to BITMAPV5HEADER

_CORE, _INFO, _V2, _V3, _V4, _V5 = 12, 40, 52, 56, 108, 124
_MASKS = {"555": (0x7C00, 0x3E0, 0x1F, 0), "565": (0xF800, 0x7E0, 0x1F, 0)}
_MASKS |= {"1555": (0x7C00, 0x3E0, 0x1F, 0x8000), "4444": (0xF00, 0xF0, 0xF, 0xF000)}
_MASKS |= {"888": (0xFF0000, 0xFF00, 0xFF, 0), "8888": (0xFF0000, 0xFF00, 0xFF, 0xFF000000)}
_MASKS |= {"rgba": (0xFF, 0xFF00, 0xFF0000, 0xFF000000)}
_MASKS |= {"101010": (0x3FF << 20, 0x3FF << 10, 0x3FF, 0)}
#: The colors of a pixel without masks (BI_RGB).
_COLORS = {16: 0x7FFF, 24: 0xFFFFFF, 32: 0xFFFFFF}


def _bmp(
    bits: int,
    header: int = _INFO,
    *,
    masks: str = "",
    down: bool = False,
    colors: int = 0,
    rle: bool = False,
    profile: bytes = b"",
    gap: int = 0,
) -> Pair:
    """Return a BMP and its negative.

    Args:
        bits: Of a pixel.
        header: The header's size.
        masks: Which masks the pixels' bits have (BI_BITFIELDS).
        down: Whether the first row is the top one.
        colors: How many the table has; 0 for as many as there can be.
        rle: Whether the rows are run-length encoded.
        profile: An ICC profile behind the pixels.
        gap: Bytes between header and pixels that mean nothing.
    """
    count = (colors or 1 << bits) if bits <= 8 else 0
    dice = np.random.default_rng(bits)
    table = dice.integers(0, 256, (count, 3)).astype(np.uint8)
    rows = [] if rle else _bmp_rows(bits, count, dice)
    size = len(_bmp_rle(bits, count)) if rle else sum(map(len, rows)) + HEIGHT * (-len(rows[0]) % 4)
    compression = (1 if bits == 8 else 2) if rle else 3 if masks else 0
    after = b""
    if header == _CORE:
        info = struct.pack("<IHHHH", header, WIDTH, HEIGHT, 1, bits)
    else:
        height = -HEIGHT if down else HEIGHT
        info = struct.pack("<IiiHHI", header, WIDTH, height, 1, bits, compression)
        info += struct.pack("<IiiII", size, 2835, 2835, colors, 0)
        if masks:
            words = struct.pack("<4I", *_MASKS[masks])
            after = words[:12] if header == _INFO else b""
            info += words if header >= _V3 else words[:12] if header >= _V2 else b""
        if header >= _V4:
            info = info.ljust(56, b"\0") + (b"MBED" if profile else b"sRGB")[::-1]
        if header == _V5 and profile:
            table_bytes = count * (3 if header == _CORE else 4)
            start = header + table_bytes + gap + size
            info = info.ljust(108, b"\0") + struct.pack("<IIII", 4, start, len(profile), 0)
        info = info.ljust(header, b"\0")
    entries = count * (3 if header == _CORE else 4)
    offset = 14 + len(info) + len(after) + entries + gap
    head = struct.pack("<2sIHHI", b"BM", offset + size + len(profile), 0, 0, offset)
    mask = sum(_MASKS[masks][:3]) if masks else _COLORS.get(bits, 0)

    def written(table: Array, mask: int) -> bytes:
        unused = b"" if header == _CORE else b"\0"
        colors = b"".join(color.tobytes() + unused for color in table)
        pixels = (
            _bmp_rle(bits, count) if rle else b"".join(_padded(row, bits, mask) for row in rows)
        )
        return head + info + after + colors + bytes(gap) + pixels + profile

    return written(table, 0), written(255 - table, mask)


def _padded(row: bytes, bits: int, mask: int) -> bytes:
    """Return a row of whole words, the bits of the mask complemented."""
    pattern = mask.to_bytes(max(1, bits // 8), "little") * WIDTH
    flipped = bytes(a ^ b for a, b in zip(row, pattern, strict=False)) if mask else row
    return flipped + bytes(-len(row) % 4)


def _bmp_rows(bits: int, count: int, dice: Any) -> list[bytes]:
    if bits > 8:
        return [dice.bytes(WIDTH * bits // 8) for _ in range(HEIGHT)]
    values = dice.integers(0, count, (HEIGHT, WIDTH, 1))
    spread = (values >> np.arange(bits - 1, -1, -1)) & 1
    return [np.packbits(row.astype(np.uint8).ravel()).tobytes() for row in spread]


def _bmp_rle(bits: int, count: int) -> bytes:
    out = b""
    for row in range(HEIGHT):
        color = row % count
        both = color << 4 | (count - 1 - color) if bits == 4 else color
        literal = bytes([both, both ^ 1, both]) if bits == 8 else bytes([both, both ^ 1])
        out += bytes([20, both, 0, len(literal) * 8 // bits - (bits == 4)]) + literal
        out += bytes(len(literal) % 2) + b"\0\0"
    return out + b"\0\1"


def _bmps() -> Iterator[tuple[str, Pair]]:
    for bits, header, down in product((1, 4, 8, 16, 24, 32), (_INFO, _V4, _V5), (False, True)):
        yield f"bmp/{bits}-{header}{'-down' if down else ''}", _bmp(bits, header, down=down)
    for bits in (1, 4, 8, 24):
        yield f"bmp/{bits}-core", _bmp(bits, _CORE)
    for bits, masks in ((16, "565"), (16, "555"), (32, "888"), (32, "101010")):
        for header in (_INFO, _V2, _V3, _V4, _V5):
            yield f"bmp/{bits}-{masks}-{header}", _bmp(bits, header, masks=masks)
    for bits, masks in ((16, "1555"), (16, "4444"), (32, "8888"), (32, "rgba")):
        for header in (_V3, _V4, _V5):
            yield f"bmp/{bits}-{masks}-{header}", _bmp(bits, header, masks=masks)
    for bits in (4, 8):
        yield f"bmp/{bits}-rle", _bmp(bits, rle=True)
        yield f"bmp/{bits}-few-colors", _bmp(bits, colors=5)
    yield "bmp/24-gap", _bmp(24, gap=13)
    yield "bmp/24-profile", _bmp(24, _V5, profile=b"not really a profile")


# PNG: W3C PNG


def _png(
    color: int, bits: int, *, adam7: bool, extra: bytes = b"", filters: str = "01234"
) -> bytes:
    """Return a PNG with its rows filtered by the given types, in turns."""
    bands = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    values = noise(bands, (1 << bits) - 1)
    passes = [(0, 0, 1, 1)]
    if adam7:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
        passes += [(1, 0, 2, 2), (0, 1, 1, 2)]
    data = b"".join(
        _png_rows(values[top::down, left::across], bits, bands, filters)
        for left, top, across, down in passes
    )
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, color, 0, 0, adam7)
    palette = b""
    if color == 3:
        table = np.random.default_rng(9).integers(0, 256, (1 << bits, 3)).astype(np.uint8)
        palette = _chunk(b"PLTE", table.tobytes())
    chunks = _chunk(b"IHDR", header) + _chunk(b"gAMA", struct.pack(">I", 45455)) + palette
    chunks += extra + _chunk(b"tEXt", b"Title\0oracle") + _chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunks + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def _png_rows(values: Array, bits: int, bands: int, filters: str) -> bytes:
    out, before, step = b"", None, max(1, bits * bands // 8)
    for number, row in enumerate(values):
        if not row.size:
            continue
        if bits == 16:
            line = row.astype(">u2").tobytes()
        else:
            spread = (row.ravel()[:, None] >> np.arange(bits - 1, -1, -1)) & 1
            line = np.packbits(spread.astype(np.uint8).ravel()).tobytes()
        kind = int(filters[number % len(filters)])
        out += bytes([kind]) + _filtered(kind, line, before or bytes(len(line)), step)
        before = line
    return out


def _filtered(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    result = bytearray()
    for at, value in enumerate(line):
        left = line[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        guess = left + above[at] - corner
        near = (left, above[at], corner)
        paeth = near[min(range(3), key=[abs(guess - each) for each in near].__getitem__)]
        expected = (0, left, above[at], (left + above[at]) // 2, paeth)[kind]
        result.append((value - expected) & 0xFF)
    return bytes(result)


def _pngs() -> Iterator[tuple[str, Callable[[], bytes]]]:
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for color, adam7 in product(depths, (False, True)):
        for bits in depths[color]:
            name = f"png/{color}-{bits}{'-adam7' if adam7 else ''}"
            yield name, partial(_png, color, bits, adam7=adam7)
    yield "png/gray-key", partial(_png, 0, 8, adam7=False, extra=_chunk(b"tRNS", b"\0\0"))
    rgb_key = _chunk(b"tRNS", struct.pack(">HHH", 65535, 65535, 65535))
    yield "png/rgb16-key", partial(_png, 2, 16, adam7=True, extra=rgb_key)
    yield (
        "png/palette-alpha",
        partial(_png, 3, 4, adam7=False, extra=_chunk(b"tRNS", bytes(range(16)))),
    )
    yield "png/apng", partial(_frames, "PNG", "RGBA", duration=[40, 60], loop=3)


def _frames(kind: str, mode: str, **options: Any) -> bytes:
    frames = [Image.fromarray(np.roll(smooth(4), shift, 1)).convert(mode) for shift in (0, 9)]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], **options)
    return out.getvalue()


def _pillow(kind: str, mode: str, values: Array, **options: Any) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    image.convert(mode).save(out, kind, **options)
    return out.getvalue()


def _vips(suffix: str, bands: int, **options: Any) -> bytes:
    interpretation = {1: "b-w", 2: "b-w", 3: "srgb", 4: "srgb"}[bands]
    image = pyvips.Image.new_from_array(smooth(bands), interpretation=interpretation)
    return bytes(image.write_to_buffer(suffix, **options))


def _gifs() -> Iterator[tuple[str, Callable[[], bytes]]]:
    rgb = smooth(3)
    yield "gif/still", partial(_pillow, "GIF", "P", rgb)
    yield "gif/gray", partial(_pillow, "GIF", "L", smooth(1))
    yield "gif/interlaced", partial(_pillow, "GIF", "P", rgb, interlace=1)
    yield "gif/transparent", partial(_pillow, "GIF", "P", rgb, transparency=3)
    yield "gif/animated", partial(_frames, "GIF", "P", duration=[40, 60], loop=3)
    yield "gif/disposed", partial(_frames, "GIF", "P", duration=50, disposal=2)


def _webps() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for mode, bands in (("RGB", 3), ("RGBA", 4)):
        lossless = {"lossless": True, "exact": True}
        yield f"webp/lossless-{mode}", partial(_pillow, "WEBP", mode, smooth(bands), **lossless)
        yield f"webp/lossy-{mode}", partial(_pillow, "WEBP", mode, smooth(bands), quality=95)
        timing = {"duration": [40, 60], "loop": 3}
        yield f"webp/animated-{mode}", partial(_frames, "WEBP", mode, **timing, **lossless)
        yield f"webp/animated-lossy-{mode}", partial(_frames, "WEBP", mode, **timing, quality=95)
    profile = {"icc_profile": b"profile", "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0", "xmp": b"<x/>"}
    yield "webp/metadata", partial(_pillow, "WEBP", "RGB", smooth(3), lossless=True, **profile)
    yield "webp/vips", partial(_vips, ".webp", 4, lossless=True)


def _jpegs() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for sampling, progressive in product(("4:4:4", "4:2:2", "4:2:0"), (False, True)):
        options = {"subsampling": sampling, "progressive": progressive, "quality": 92}
        name = f"jpeg/{sampling.replace(':', '')}{'-progressive' if progressive else ''}"
        yield name, partial(_pillow, "JPEG", "RGB", smooth(3), **options)
    for mode, bands in (("L", 1), ("CMYK", 3), ("RGB", 3)):
        options = {"optimize": True, "keep_rgb": True, "quality": 92}
        yield f"jpeg/{mode}-optimized", partial(_pillow, "JPEG", mode, smooth(bands), **options)
    yield (
        "jpeg/restarts",
        partial(_pillow, "JPEG", "RGB", smooth(3), restart_marker_blocks=2, quality=92),
    )
    yield "jpeg/vips", partial(_vips, ".jpg", 3, Q=90, trellis_quant=True, interlace=True)
    yield "jpeg/quality-30", partial(_pillow, "JPEG", "RGB", smooth(3), quality=30)


#: Files whose negatives are known to the byte.
PAIRS = dict([*_pnms(), *_bmps()])
KINDS = dict([*_pngs(), *_gifs(), *_webps(), *_jpegs()])
#: Decoders that convert inks, or show indices of palettes.
NOT_BY = {"gif": ("OpenCV", "GDAL"), "png": ("GDAL",), "webp": ("GDAL", "OpenCV")}


@pytest.mark.parametrize("name", PAIRS)
def test_negative_is_known_to_the_byte(name: str, tmp_path: Path) -> None:
    source, target, twice = (tmp_path / f"{number}.{name.partition('/')[0]}" for number in "123")
    data, expected = PAIRS[name]
    source.write_bytes(data)
    negate.negate_file(source, target, MAX_PIXELS)
    assert target.read_bytes() == expected
    negate.negate_file(target, twice, MAX_PIXELS)
    assert twice.read_bytes() == data


@pytest.mark.parametrize("name", KINDS)
def test_negative_is_whole(name: str, tmp_path: Path, exiftool: ExifTool) -> None:
    kind = name.partition("/")[0]
    suffix = ".jpg" if kind == "jpeg" else f".{kind}"
    source, target, twice = (tmp_path / f"{number}{suffix}" for number in "123")
    source.write_bytes(KINDS[name]())
    negate.negate_file(source, target, MAX_PIXELS)
    assert not _differences(name, source, target, exiftool)
    negate.negate_file(target, twice, MAX_PIXELS)
    if "lossy" not in name:
        for decoder in (decoders.pillow, decoders.imagemagick):
            for before, after in zip(decoder(source), decoder(twice), strict=True):
                assert np.array_equal(before, after)


def _differences(name: str, source: Path, target: Path, exiftool: ExifTool) -> list[str]:
    kind = name.partition("/")[0]
    names = [each for each in decoders.DECODERS if each not in NOT_BY.get(kind, ())]
    colors, tolerance = 3, _LOSSY if kind == "jpeg" or "lossy" in name else 0
    if "CMYK" in name:
        names, colors = ["libvips", "Pillow"], 4
    problems = decoders.differences(source, target, 8, colors, tolerance=tolerance, names=names)
    # A PNG's transparent color is complemented with the others.
    problems += exiftool.differences(source, target, ["Transparency"])
    if decoders.timing(source) != decoders.timing(target):
        problems.append("frames are shown at other times")
    return problems
