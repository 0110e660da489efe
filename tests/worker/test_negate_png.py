"""PNG: what is dropped is noted; without the kernels only palettes are negated."""

from pathlib import Path

import pytest

from tests.fuzz.seeds import chunk, raw_png
from tests.worker.negation import MAX_PIXELS, negative
from tests.worker.pictures import decode, encode, error, negated, picture
from worker.errors import UploadDeferred
from worker.transforms import negate
from worker.transforms.negate import kernels

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


@pytest.mark.parametrize("data", [PHOTO, raw_png(0, 8, 0), raw_png(2, 16, 1)])
def test_only_palettes_do_not_need_the_kernels(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert negative(tmp_path, data)
    monkeypatch.setattr(kernels, "library", None)
    with pytest.raises(UploadDeferred, match="a PNG needs the compiled kernels"):
        negative(tmp_path, data)
    assert negative(tmp_path, negative(tmp_path, PALETTE)) == PALETTE
