"""Pictures wait for the compiled kernels, which systems other than Linux build themselves."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkout import PROJECT
from tests.worker.negation import negative
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from worker.errors import InvalidInput, UploadDeferred
from worker.transforms.negate import kernels

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_every_format_waits(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(picture(), kind)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "library", None)
        with pytest.raises(UploadDeferred, match=r"needs its compiled kernels.*not built yet"):
            negative(tmp_path, data)
    assert negative(tmp_path, data)


def test_what_is_no_picture_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "library", None)
    with pytest.raises(InvalidInput, match="not a picture"):
        negative(tmp_path, b"text")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of the worker with changed sources, for which no kernels were built."""
    folder = tmp_path / "package"
    shutil.copytree(PROJECT / "worker", folder / "worker", ignore=shutil.ignore_patterns("*.so"))
    source = next(folder.rglob("jpeg.c"))
    source.write_text(f"{source.read_text()}/* {folder} */\n")
    return folder


@pytest.fixture
def run(package: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what runs Python with the package and a PATH."""

    def start(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env={"PATH": path, "PYTHONPATH": str(package)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


def test_apply_builds_the_kernels_or_says_what_it_lacks(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(encode(picture(), "JPEG"))
    where = "from worker.transforms.negate import kernels as k; print(k.cache() / k.file_name())"
    built = Path(run("", "-c", where).stdout.strip())
    assert not built.exists()
    try:
        done = run("", "-m", "worker", "apply", "negate", "a.jpg", ".")
        first, second = done.stderr.splitlines()
        assert first.startswith("negate has no compiled kernels")
        assert "there is no C compiler" in first
        assert second.startswith("a.jpg: negate needs its compiled kernels")
        assert done.returncode == 1
        done = run(os.environ["PATH"], "-m", "worker", "apply", "negate", "a.jpg", ".")
        assert (done.returncode, done.stderr) == (0, "")
        assert built.exists()
    finally:
        built.unlink(missing_ok=True)


def test_build_without_a_compiler_prints_one_sentence(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run("", "-m", "worker", "build")
    message = "The compiled parts of negate were not built: there is no C compiler (install gcc).\n"
    assert (done.returncode, done.stderr) == (1, message)


def test_a_photo_waits_in_its_bucket(versioned: Pipeline, package: Path) -> None:
    versioned.environment = {"PYTHONPATH": str(package)}
    versioned.put("a.jpg", encode(picture(), "JPEG"))
    done = versioned.drain(1)
    assert "'a.jpg' is deferred: negate needs its compiled kernels" in done.stderr
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
    assert versioned.keys(versioned.output) == ["negated_a.jpg"]


SHORT_OF_MEMORY = """
import os, resource, sys
from pathlib import Path
from worker.errors import InvalidInput
from worker.transforms.negate import negate_file
def outcome():
    try:
        negate_file(Path("source"), Path("target"), 10**6)
        return "done"
    except (MemoryError, OSError):
        return "short"
    except Exception as error:
        return repr(error)
_, hard = resource.getrlimit(resource.RLIMIT_AS)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for left in range(0, 32 << 20, 2 << 20):
    if os.fork():
        os.wait()
        continue
    resource.setrlimit(resource.RLIMIT_AS, (used + left, hard))
    first = outcome()
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    os.write(1, f"{first}, then {outcome()}\\n".encode())
    os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF"])
def test_a_codec_that_memory_was_too_short_for_is_no_fault_of_pictures(
    tmp_path: Path, name: str
) -> None:
    """Its module is imported when its first picture comes, which may be a large one."""
    (tmp_path / "source").write_bytes(encode(picture(), name))
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.splitlines()) == {"short, then done", "done, then done"}
