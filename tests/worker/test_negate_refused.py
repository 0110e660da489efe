"""Files that are no pictures, or of which a negative would lose something, are refused."""

from pathlib import Path

import pytest

from tests.worker.negation import negative
from worker.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("compiled")


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
    with pytest.raises(InvalidInput, match=r"not a picture in a supported format \(AVIF, BMP, GIF"):
        negative(tmp_path, data)


@pytest.mark.parametrize("data", [b"RIFF\x20\0\0\0WEBPVP8 \x0c\0\0\0" + bytes(20), b"P6 1 1 255\n"])
def test_damaged_files_are_refused_without_our_paths(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"damaged|truncated") as caught:
        negative(tmp_path, data)
    assert tmp_path.name not in str(caught.value)
