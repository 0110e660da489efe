"""GIF: what other programs accept is kept byte for byte; what is dropped is noted."""

from pathlib import Path

import pytest
from PIL import Image

from bench.imagemagick import find_convert
from tests.worker.negation import MAX_PIXELS, convert, negative, notes
from tests.worker.pictures import decode, encode, error, negated, picture
from worker.errors import InvalidInput
from worker.transforms import negate

pytestmark = pytest.mark.usefixtures("compiled")
FRAMES = [picture(seed, (20, 14)) for seed in (1, 2, 3)]
ANIMATION = encode(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:], duration=[50, 70, 90])


def with_zeros(data: bytes, count: int) -> bytes:
    """Return a GIF with zeros before each of its extensions for timing."""
    return data.replace(b"\x21\xf9", bytes(count) + b"\x21\xf9")


ACCEPTED: dict[str, tuple[bytes, list[str]]] = {
    "whole": (ANIMATION, []),
    "no trailer": (ANIMATION[:-1], ["has no trailer, as its source"]),
    "a zero between blocks": (with_zeros(ANIMATION, 1), []),
    "zeros between blocks": (with_zeros(ANIMATION, 500), []),
    "zeros before the trailer": (ANIMATION[:-1] + b"\0\0;", []),
    "zeros, no trailer": (ANIMATION[:-1] + b"\0\0", ["has no trailer, as its source"]),
    "data after it": (ANIMATION + b"data", ["dropped 4 bytes after its end"]),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_as_by_other_programs(name: str, tmp_path: Path) -> None:
    data, its_notes = ACCEPTED[name]
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(data)
    assert negate.negate_file(source, target, MAX_PIXELS) == ("image/gif", its_notes)
    once = target.read_bytes()
    whole = data.removesuffix(b"data")
    assert len(once) == len(whole)
    assert negative(tmp_path, once) == whole
    assert error(decode(once), negated(data)) == 0
    if find_convert():
        assert convert(once, "gif") == convert(whole, "gif", "-negate") != b""


def test_content_credentials_are_dropped_with_a_note(tmp_path: Path) -> None:
    store = b"\x21\xff\x0bC2PA_GIF\1\0\0" + b"\xff" + bytes(255) + b"\4jumb\0"
    at = ANIMATION.index(b"\x21\xf9")
    data = ANIMATION[:at] + store + ANIMATION[at:]
    assert notes(tmp_path, data)[0].startswith("content credentials (C2PA) were dropped")
    assert negative(tmp_path, data) == negative(tmp_path, ANIMATION)


@pytest.mark.parametrize("end", [1, 2, 3, 40, 400])
def test_a_frame_that_is_cut_is_refused(end: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="truncated"):
        negative(tmp_path, ANIMATION[: -1 - end])


def test_no_picture(tmp_path: Path) -> None:
    header = encode(Image.new("P", (2, 2)), "GIF")[:13]
    for rest in (b";", bytes(9)):
        with pytest.raises(InvalidInput, match=r"no picture|truncated"):
            negative(tmp_path, header[:10] + b"\0\0\0" + rest)
