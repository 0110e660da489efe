"""The compiled kernels for tests, and the real ImageMagick."""

import subprocess
from pathlib import Path

import pytest

from bench.imagemagick import find_convert
from worker.transforms import negate
from worker.transforms.negate import build, kernels

LIMITS = {"pixels": 250_000_000}


@pytest.fixture(scope="module", name="compiled")
def compiled_kernels(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Build them where nobody has."""
    if kernels.library is None:
        folder = tmp_path_factory.mktemp("kernels")
        kernels.library = kernels.load(build.build(folder).parent)


def negative(folder: Path, data: bytes) -> bytes:
    """What the transform makes of a file."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)
    negate.apply(source, target, LIMITS)
    return target.read_bytes()


def convert(data: bytes, kind: str, *options: str) -> bytes:
    """All frames' pixels as ImageMagick sees them: RGBA, 16 bits a channel."""
    program = find_convert()
    assert program
    command = [program, f"{kind}:-", *options, "-depth", "16", "rgba:-"]
    result = subprocess.run(command, input=data, capture_output=True, check=False)
    return result.stdout if result.returncode == 0 else b""
