"""Files that are no pictures are refused; those that need kernels are deferred until they exist."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.seeds import chunk, exif, raw_png
from tests.worker.negation import negative
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import ROOT, Pipeline
from worker.errors import InvalidInput, UploadDeferred
from worker.transforms.negate import kernels

pytestmark = pytest.mark.usefixtures("compiled")
PREVIEW = encode(picture(11, (32, 24)), "JPEG", quality=85)


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
    with pytest.raises(InvalidInput, match=r"not a picture in a supported format \(BMP, GIF"):
        negative(tmp_path, data)


@pytest.mark.parametrize("data", [b"RIFF\x20\0\0\0WEBPVP8 \x0c\0\0\0" + bytes(20), b"P6 1 1 255\n"])
def test_damaged_files_are_refused_without_our_paths(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"damaged|truncated") as caught:
        negative(tmp_path, data)
    assert tmp_path.name not in str(caught.value)


def _png(*chunks: tuple[bytes, bytes], mode: str = "RGB") -> bytes:
    data = encode(picture(12, (64, 48), mode), "PNG")
    return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]


#: A file that Pillow would damage and the kernels keep, and a sibling that Pillow keeps as well.
DEFERRED: dict[str, tuple[bytes, bytes]] = {
    "png, 16 bits": (raw_png(2, 16, 0), raw_png(2, 8, 0)),
    "png, 16 bits of gray": (raw_png(0, 16, 0), raw_png(0, 8, 0)),
    "png, bKGD": (
        _png((b"bKGD", b"\0\1\0\2\0\3")),
        _png((b"cICP", b"\1\r\0\1"), (b"tIME", bytes(7)), (b"gAMA", b"\0\0\xb1\x8f")),
    ),
    "png, thumbnail": (
        _png((b"eXIf", exif(PREVIEW)[6:])),
        _png((b"eXIf", exif(b"")[6:])),
    ),
}


@pytest.mark.parametrize("name", DEFERRED)
def test_files_that_pillow_would_harm_wait_for_the_kernels(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, done = DEFERRED[name]
    assert negative(tmp_path, waiting)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "library", None)
        with pytest.raises(UploadDeferred, match="not built yet"):
            negative(tmp_path, waiting)
        assert error(decode(negative(tmp_path, done)), negated(done)) <= 20
    assert negative(tmp_path, waiting)


def test_apply_builds_the_kernels_or_warns_that_it_runs_without(tmp_path: Path) -> None:
    package = package_without_kernels(tmp_path / "package")
    for name, data in {"a.gif": encode(picture(), "GIF"), "b.png": raw_png(2, 16, 0)}.items():
        (tmp_path / name).write_bytes(data)

    def run(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env={"PATH": path, "PYTHONPATH": str(package)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    where = "from worker.transforms.negate import kernels as k; print(k.cache() / k.file_name())"
    built = Path(run("", "-c", where).stdout.strip())
    assert not built.exists()
    try:
        done = run("", "-m", "worker", "apply", "negate", "a.gif", "b.png", ".")
        first, second = done.stderr.splitlines()
        assert first.startswith("Running without the compiled kernels")
        assert "there is no C compiler" in first
        assert second.startswith("b.png: the PNG has a depth of 16 bits")
        assert done.returncode == 1
        assert (tmp_path / "negated_a.gif").exists()
        done = run(os.environ["PATH"], "-m", "worker", "apply", "negate", "a.gif", "b.png", ".")
        assert (done.returncode, done.stderr) == (0, "")
        assert built.exists()
    finally:
        built.unlink(missing_ok=True)


def package_without_kernels(folder: Path) -> Path:
    """Return a copy of the worker with changed sources, for which no kernels were built."""
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=shutil.ignore_patterns("*.so"))
    source = next(folder.rglob("jpeg.c"))
    source.write_text(f"{source.read_text()}/* {folder} */\n")
    return folder


def test_a_photo_waits_in_its_bucket_until_the_kernels_are_built(versioned: Pipeline) -> None:
    package = package_without_kernels(versioned.folder / "package")
    versioned.environment = {"PYTHONPATH": str(package)}
    versioned.put("a.jpg", encode(picture(), "JPEG", exif=exif(PREVIEW)))
    versioned.put("b.gif", encode(picture(), "GIF"))
    done = versioned.drain(1)
    assert "'a.jpg' is deferred: a JPEG needs the compiled kernels" in done.stderr
    assert versioned.left() == ["a.jpg"]
    assert versioned.keys(versioned.quarantine) == []
    (attempt,) = versioned.sql("SELECT crashes, problem FROM pipeline.attempts")
    assert attempt["crashes"] == 0
    assert "compiled kernels" in attempt["problem"]
    subprocess.run(
        [sys.executable, "-m", "worker", "build"],
        env={"PATH": os.environ["PATH"]},
        cwd=package,
        check=True,
    )
    versioned.drain()
    assert versioned.left() == []
    assert versioned.keys(versioned.output) == ["negated_a.jpg", "negated_b.gif"]
