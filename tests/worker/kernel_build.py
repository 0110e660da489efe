"""The compiled kernels for tests, and the real ImageMagick."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

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


@cache
def imagemagick() -> str | None:
    """`convert`, if it is ImageMagick's own and no stand-in of that name."""
    for folder in os.get_exec_path():
        found = shutil.which("convert", path=folder)
        if found:
            answer = subprocess.run(
                [found, "-version"], capture_output=True, text=True, check=False
            )
            if "ImageMagick Studio" in answer.stdout:
                return found
    return None


def convert(data: bytes, kind: str, *options: str) -> bytes:
    """All frames' pixels as ImageMagick sees them: RGBA, 16 bits a channel."""
    program = imagemagick()
    assert program
    command = [program, f"{kind}:-", *options, "-depth", "16", "rgba:-"]
    result = subprocess.run(command, input=data, capture_output=True, check=False)
    return result.stdout if result.returncode == 0 else b""
