"""PNG: what is dropped is noted; suggested palettes are negated."""

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
            ["dropped 1 bytes after its end", "dropped PNG chunks zTXt"],
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
