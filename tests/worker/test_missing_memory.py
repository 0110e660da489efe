"""Pictures that limits.memory_mb is too small for: that is the reason, not damage."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from tests.checkout import PROJECT

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.usefixtures("compiled"),
]

SIDE = 1600
# Transforms a picture, with little more memory than the process has already.
CHILD = """
import re, resource, sys
from importlib import import_module
from pathlib import Path
from worker.sandbox import application
from worker.transforms import Input
transform = import_module(f"worker.transforms.{sys.argv[1]}")
used = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20),) * 2)
try:
    parameters = transform.Parameters(formats=("heic",))
    transform.apply([Input(Path("source"), "source", 10**8)], Path(), parameters)
    print("done")
except Exception as error:
    print(*application.failure(error, Path()))
"""
FORMATS: dict[str, dict[str, Any]] = {
    "AVIF": {"speed": 10},
    "HEIC": {"enc_params": {"preset": "ultrafast"}},
    "JPEG": {"progressive": True},
    "JPEG2000": {},
    "WEBP": {"method": 0},
    "lossless WEBP": {"lossless": True, "method": 0},
}
NEEDED = "memory it needs more memory than limits.memory_mb\n"


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    picture, found = Image.linear_gradient("L").convert("RGB").resize((SIDE, SIDE)), {}
    for name, options in FORMATS.items():
        buffer = BytesIO()
        if name == "HEIC":
            pillow_heif.from_pillow(picture).save(buffer, **options)
        else:
            picture.save(buffer, name.split()[-1], **options)
        found[name] = buffer.getvalue()
    return found


def outcome(folder: Path, picture: bytes, transform: str, megabytes: int) -> str:
    (folder / "source").write_bytes(picture)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, transform, str(megabytes)],
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("transform", ["negate", "thumbnail"])
def test_missing_memory_is_not_taken_for_damage(
    pictures: dict[str, bytes], tmp_path: Path, transform: str, name: str
) -> None:
    found = {mb: outcome(tmp_path, pictures[name], transform, mb) for mb in (5, 25, 50, 100, 600)}
    assert found.pop(600) == "done\n"
    assert NEEDED in found.values() or (transform, name) == ("negate", "JPEG")  # not decoded
    assert set(found.values()) <= {NEEDED, "done\n"}


def test_damage_is_not_taken_for_missing_memory(pictures: dict[str, bytes], tmp_path: Path) -> None:
    for name, picture in pictures.items():
        found = outcome(tmp_path, picture[: len(picture) // 2], "thumbnail", 600)
        assert found.startswith("invalid "), (name, found)
    whole = pictures["lossless WEBP"]
    middle = len(whole) // 2
    garbled = whole[:middle] + bytes(range(256)) + whole[middle + 256 :]
    found = outcome(tmp_path, garbled, "negate", 150)  # less than its encoder may need
    assert found.startswith("invalid the WebP is damaged"), found


def test_the_smallest_picture_needs_memory_too(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.new("RGBA", (64, 64)).save(buffer, "AVIF")
    found = {outcome(tmp_path, buffer.getvalue(), "thumbnail", mb) for mb in (8, 16, 24, 100)}
    assert found == {NEEDED, "done\n"}
