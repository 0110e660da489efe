"""PNG: what is dropped is noted; suggested palettes are negated."""

import zlib
from pathlib import Path

import pytest

from tests.fuzz.seeds import chunk
from tests.worker.negation import MAX_PIXELS, negative
from tests.worker.pictures import decode, encode, error, negated, picture
from worker.transforms import negate

pytestmark = pytest.mark.usefixtures("compiled")
PHOTO = encode(picture(12, (64, 48)), "PNG")
PALETTE = encode(picture(12, (64, 48), "P"), "PNG")


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """Return the photo with another chunk."""
    return PHOTO[:33] + chunk(kind, content) + PHOTO[33:]


@pytest.mark.parametrize(
    ("data", "notes"),
    [
        (PHOTO, []),
        (PALETTE, []),
        (PHOTO + b"data", ["dropped 4 bytes after its end"]),
        (with_chunk(b"mkBF", b"layers"), ["dropped PNG chunks mkBF"]),
        (with_chunk(b"vpAg", bytes(9)), []),
        (
            with_chunk(b"zTXt", b"Raw profile type exif\0\0damaged") + b"\0",
            ["dropped 1 byte after its end", "dropped PNG chunks zTXt"],
        ),
    ],
)
def test_notes(data: bytes, notes: list[str], tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(data)
    assert negate.negate_file(source, target, MAX_PIXELS) == ("image/png", notes)
    assert error(decode(target.read_bytes()), negated(data)) == 0


@pytest.mark.parametrize(
    ("entry", "negative_entry"),
    [
        (b"\x08" + b"\0\1\xff\x80\0\7" * 2, b"\x08" + b"\xff\xfe\0\x80\0\7" * 2),
        (b"\x10" + bytes(range(10)), b"\x10\xff\xfe\xfd\xfc\xfb\xfa\6\7\x08\t"),
    ],
)
def test_a_suggested_palette_is_negated(
    entry: bytes, negative_entry: bytes, tmp_path: Path
) -> None:
    once = negative(tmp_path, with_chunk(b"sPLT", b"name\0" + entry))
    assert chunk(b"sPLT", b"name\0" + negative_entry) in once


@pytest.mark.parametrize(("color", "negative_color"), [("0080", "007f"), ("0180", "017f")])
def test_a_transparent_gray_is_negated_whatever_the_bits_above_are(
    color: str, negative_color: str, tmp_path: Path
) -> None:
    source = encode(picture(12, (64, 48), "L"), "PNG")
    source = source[:33] + chunk(b"tRNS", bytes.fromhex(color)) + source[33:]
    assert chunk(b"tRNS", bytes.fromhex(negative_color)) in negative(tmp_path, source)


def test_many_small_blocks_are_joined(tmp_path: Path) -> None:
    """Each would cost the time of a code of its own."""
    rows = b"".join(
        bytes([0, *picture(12, (64, 48), "L").crop((0, y, 64, y + 1)).tobytes()]) for y in range(48)
    )
    compressor = zlib.compressobj(strategy=zlib.Z_FIXED)
    blocks = [
        compressor.compress(rows[i : i + 1]) + compressor.flush(zlib.Z_PARTIAL_FLUSH)
        for i in range(len(rows))
    ]
    data = b"".join([*blocks, compressor.flush()])
    header = (64).to_bytes(4, "big") + (48).to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    source = PHOTO[:8] + chunks
    result = negative(tmp_path, source)
    assert error(decode(result), negated(source)) == 0
    assert len(result) < len(source) / 2
