"""BMP: every kind of header, pixel and compression; alpha, profile and unused bits stay."""

from pathlib import Path
from typing import Any

import pytest

from bench.imagemagick import find_convert
from tests.worker.bmp_files import bmp, gray_table
from tests.worker.negation import convert, negative
from worker.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("compiled")
ALPHA_32 = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
TEN_BITS = (0x3FF00000, 0xFFC00, 0x3FF)
RGB_565, ARGB_4444 = (0xF800, 0x7E0, 0x1F), (0xF00, 0xF0, 0xF, 0xF000)
PIXELS_32 = bytes(range(3, 99, 4))
PIXELS_24, NEGATIVE_24 = b"abcdefghi\1\2\3" * 2, bytes(255 - c for c in b"abcdefghi") + b"\1\2\3"
PIXELS_16 = bytes(range(5, 21))
TABLE_2, NEGATIVE_2 = gray_table(10, 200), gray_table(245, 55)
TABLE_16 = gray_table(*range(16))
NEGATIVE_16 = gray_table(*range(255, 239, -1))
TABLE_256, NEGATIVE_256 = gray_table(*range(256)), gray_table(*range(255, -1, -1))
INDICES_1, INDICES_4, INDICES_8 = b"\xa0\1\2\3\x40\0\0\0", b"\x12\x30\0\0" * 2, b"\0\1\2\3" * 2
RLE_8 = b"\2\1\0\0\0\3\1\2\3\0\0\1"
RLE_4 = b"\3\x12\0\0\0\2\1\0\0\3\x12\x30\0\1"


def masked(pixels: bytes, masks: tuple[int, ...], size: int) -> bytes:
    """Return the pixels with the bits of their colors inverted."""
    inverted = (int.from_bytes(pixels[i : i + size], "little") for i in range(0, len(pixels), size))
    mask = masks[0] | masks[1] | masks[2]
    return b"".join((value ^ mask).to_bytes(size, "little") for value in inverted)


def pixels_pair(bits: int, pixels: bytes, negative: bytes, **options: Any) -> tuple[bytes, ...]:
    """Return a BMP and its negative, which differ by the pixels alone."""
    return bmp(bits, pixels, **options), bmp(bits, negative, **options)


def table_pair(
    bits: int, pixels: bytes, table: bytes, negative: bytes, **options: Any
) -> tuple[bytes, ...]:
    """Return a BMP and its negative, which differ by the color table alone."""
    return tuple(bmp(bits, pixels, table=each, **options) for each in (table, negative))


def alpha(header: int, rest: bytes = b"", profile: int = 0) -> tuple[bytes, ...]:
    """Return a BMP with alpha and its negative."""
    pixels = PIXELS_32, masked(PIXELS_32, ALPHA_32, 4)
    options: dict[str, Any] = {"header": header, "compression": 3, "masks": ALPHA_32, "rest": rest}
    return pixels_pair(32, *pixels, profile=profile, **options)


BMPS: dict[str, tuple[bytes, ...]] = {
    "1 bit": table_pair(1, INDICES_1, TABLE_2, NEGATIVE_2),
    "2 bits": table_pair(2, b"\x1b\0\0\0" * 2, TABLE_16[:16], NEGATIVE_16[:16]),
    "4 bits": table_pair(4, INDICES_4, TABLE_16, NEGATIVE_16),
    "8 bits": table_pair(8, INDICES_8, TABLE_256, NEGATIVE_256),
    "8 bits, 4 colors": table_pair(8, INDICES_8, TABLE_16[:16], NEGATIVE_16[:16], colors=4),
    "4 bits, 4 colors": table_pair(4, INDICES_4, TABLE_16[:16], NEGATIVE_16[:16], colors=4),
    "8 bits, 300 colors": table_pair(
        8, INDICES_8, TABLE_256 + TABLE_16, NEGATIVE_256 + NEGATIVE_16, colors=272
    ),
    "8 bits, padding": table_pair(8, b"\0\1\2\xff" * 2, TABLE_16[:12], NEGATIVE_16[:12], colors=3),
    "8 bits, no last padding": table_pair(8, INDICES_8[:-1], TABLE_256, NEGATIVE_256),
    "rle 8": table_pair(8, RLE_8, TABLE_16[:16], NEGATIVE_16[:16], compression=1, colors=4),
    "rle 4": table_pair(4, RLE_4, TABLE_16, NEGATIVE_16, compression=2),
    "rle 8 without end": table_pair(8, b"\3\1\0\0\3\2", TABLE_256, NEGATIVE_256, compression=1),
    "rle 8 with delta": table_pair(8, b"\0\2\1\1\2\2\0\1", TABLE_256, NEGATIVE_256, compression=1),
    "os/2": table_pair(
        8,
        INDICES_8,
        gray_table(*range(256), entry=3),
        gray_table(*range(255, -1, -1), entry=3),
        header=12,
    ),
    "os/2, 24 bits": pixels_pair(24, PIXELS_24, NEGATIVE_24 * 2, header=12),
    **{
        f"os/2, header of {size}": table_pair(
            8, INDICES_8, TABLE_256, NEGATIVE_256, header=size, size=(3, 2)
        )
        for size in (16, 24, 48, 64)
    },
    "16 bits": pixels_pair(16, PIXELS_16, masked(PIXELS_16, (0x7FFF, 0, 0), 2)[:6] + PIXELS_16[6:8]
        + masked(PIXELS_16, (0x7FFF, 0, 0), 2)[8:14] + PIXELS_16[14:]),
    "16 bits, 565": pixels_pair(
        16, PIXELS_16, masked(PIXELS_16, RGB_565, 2), size=(4, 2), compression=3, masks=RGB_565,
        header=52,
    ),
    "16 bits, alpha": pixels_pair(
        16, PIXELS_16, masked(PIXELS_16, ARGB_4444, 2), size=(4, 2), compression=3,
        masks=ARGB_4444, header=56,
    ),
    "24 bits": pixels_pair(24, PIXELS_24, NEGATIVE_24 * 2),
    "24 bits, top-down": pixels_pair(24, PIXELS_24, NEGATIVE_24 * 2, size=(3, -2)),
    "24 bits, table": (
        bmp(24, PIXELS_24, table=TABLE_2, colors=2),
        bmp(24, NEGATIVE_24 * 2, table=NEGATIVE_2, colors=2),
    ),
    "32 bits": pixels_pair(32, PIXELS_32, masked(PIXELS_32, ALPHA_32, 4)),
    "32 bits, 10 of a color": pixels_pair(
        32, PIXELS_32, masked(PIXELS_32, TEN_BITS, 4), compression=3, masks=TEN_BITS
    ),
    "v3, alpha": alpha(56),
    "v4, alpha": alpha(108),
    "v5, alpha": alpha(124),
    "v5, alpha, profile": alpha(124, rest=b"a profile, and more", profile=9),
    "alpha after the header": pixels_pair(
        32, PIXELS_32, masked(PIXELS_32, ALPHA_32, 4), compression=6, masks=ALPHA_32
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BMPS)
def test_only_colors_change(name: str, tmp_path: Path) -> None:
    data, expected = BMPS[name]
    assert negative(tmp_path, data) == expected != data
    assert negative(tmp_path, expected) == data


#: Read by ImageMagick 6 as Windows shows them.
READ = [
    *("1 bit", "4 bits", "8 bits", "rle 8", "rle 4", "16 bits, 565", "24 bits", "32 bits"),
    *("24 bits, top-down", "os/2, 24 bits", "v4, alpha", "v5, alpha"),
]


@pytest.mark.skipif(find_convert() is None, reason="no ImageMagick")
@pytest.mark.parametrize("name", READ)
def test_the_pixels_are_those_of_imagemagick(name: str, tmp_path: Path) -> None:
    data, _ = BMPS[name]
    assert convert(negative(tmp_path, data), "bmp") == convert(data, "bmp", "-negate") != b""


def test_a_picture_larger_than_a_piece(tmp_path: Path) -> None:
    row, negative_row = bytes(range(255)) + b"\7", bytes(range(255, 0, -1)) + b"\7"
    data = bmp(24, row * 5000, size=(85, 5000))
    assert negative(tmp_path, data) == bmp(24, negative_row * 5000, size=(85, 5000))


REFUSED: dict[str, tuple[bytes, str]] = {
    "index": (bmp(8, b"\0\1\2\3" * 2, table=TABLE_2, colors=2), "beyond its color table"),
    "index of 4 bits": (bmp(4, INDICES_4, table=TABLE_2, colors=2), "beyond its color table"),
    "index in a run": (
        bmp(8, RLE_8, table=TABLE_2, colors=2, compression=1),
        "beyond its color table",
    ),
    "truncated": (bmp(24, PIXELS_24[:-4]), "truncated"),
    "truncated, table": (bmp(8, INDICES_8[:-2], table=TABLE_256), "truncated"),
    "truncated runs": (bmp(8, b"\3\1\0\0", table=TABLE_256, compression=1), "truncated"),
    "truncated delta": (bmp(8, b"\0\2", table=TABLE_256, compression=1), "truncated"),
    "jpeg": (bmp(0, PREVIEW := b"\xff\xd8", compression=4), "JPEG data, which is not supported"),
    "png": (bmp(0, PREVIEW, compression=5), "PNG data"),
    "cmyk": (bmp(32, PIXELS_32, compression=11), "CMYK"),
    "os/2 huffman": (bmp(1, INDICES_1, compression=3, header=64, table=TABLE_2), "Huffman"),
    "os/2 rle 24": (bmp(24, PIXELS_24, compression=4, header=64), "RLE24"),
    "64 bits": (bmp(64, PIXELS_32 * 2), "64 bits per pixel"),
    "rle 8 of 4 bits": (bmp(4, RLE_4, compression=1, table=TABLE_16), "4 bits per pixel and comp"),
    "no table": (bmp(8, INDICES_8), "no color table"),
    "no width": (bmp(24, b"", size=(0, 2)), "no width"),
    "negative width": (bmp(24, PIXELS_24, size=(-3, 2)), "no width"),
    "shared bits": (
        bmp(32, PIXELS_32, compression=3, masks=(0xFF, 0xFF, 0xFF00)),
        "share bits",
    ),
    "pixels beyond the end": (
        (whole := bmp(8, INDICES_8, table=TABLE_256, colors=1 << 28))[:10]
        + b"\0\0\0\x40"
        + whole[14:],
        "truncated",
    ),
    "large table": (
        bmp(8, INDICES_8, table=bytes(1 << 19), colors=1 << 17),
        "more than 65536 colors",
    ),
    "unknown header": (b"BM" + bytes(60), "header of 0 bytes"),
    "large": (bmp(24, PIXELS_24, size=(30_000, 30_000)), "900,000,000 pixels"),
    "long rows": (bmp(24, PIXELS_24, size=(2**31 - 1, 1)), "rows of more than"),
    "profile in the pixels": (
        bmp(32, PIXELS_32, header=124, profile=5, size=(3, 200)),
        "profile overlaps",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, data)
