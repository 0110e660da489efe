"""The committed kernels are what the pinned compiler makes of the committed sources, and work."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clients import archive
from tests.fuzz import seeds
from tests.worker.negation import negative
from tests.worker.pictures import encode, picture
from tools.kernels import ARCHITECTURES, build_all
from worker.transforms.negate import build, kernels


def test_they_are_built_of_these_sources() -> None:
    """If not: `python -m tools.kernels`."""
    names = {kernels.file_name(architecture) for architecture in ARCHITECTURES}
    assert {library.name for library in kernels.PREBUILT.iterdir()} == names


@pytest.mark.long
def test_the_pinned_compiler_builds_the_same_bytes(tmp_path: Path) -> None:
    for library in build_all(tmp_path):
        assert library.read_bytes() == (kernels.PREBUILT / library.name).read_bytes(), library.name


def test_a_machine_without_a_compiler_negates_a_photo(tmp_path: Path) -> None:
    with archive.pack(archive.files()) as packed, zipfile.ZipFile(packed) as source:
        source.extractall(tmp_path / "source")
    (tmp_path / "a.jpg").write_bytes(encode(picture(), "JPEG"))
    done = subprocess.run(
        [sys.executable, "-m", "worker", "apply", "negate", "a.jpg", "."],
        env={"PATH": "", "PYTHONPATH": str(tmp_path / "source")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "negated_a.jpg").exists()


def test_another_compilers_build_gives_the_same_negatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a file's result does not depend on the machine that processed it."""
    libraries = kernels.load(build.compile_library(tmp_path).parent), kernels.load(kernels.PREBUILT)
    assert all(libraries)
    tiffs = {
        name: encode(picture(), "TIFF", compression=name)
        for name in ("tiff_lzw", "packbits", "jpeg")
    }
    for name, data in (seeds.jpegs() | seeds.pngs() | tiffs).items():
        results = set()
        for library in libraries:
            monkeypatch.setattr(kernels, "library", library)
            results.add(negative(tmp_path, data))
        assert len(results) == 1, name
