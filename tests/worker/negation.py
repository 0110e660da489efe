"""Negate files in tests, by the transform and by ImageMagick."""

import subprocess
from pathlib import Path

from bench.imagemagick import find_convert
from worker.transforms import negate

MAX_PIXELS = 250_000_000


def negative(folder: Path, data: bytes) -> bytes:
    """Return the transform's result for a file."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)
    negate.negate_file(source, target, MAX_PIXELS)
    return target.read_bytes()


def notes(folder: Path, data: bytes) -> list[str]:
    """Return what the transform notes about a file's result."""
    source = folder / "source"
    source.write_bytes(data)
    return negate.negate_file(source, folder / "target", MAX_PIXELS)[1]


def convert(data: bytes, kind: str, *options: str) -> bytes:
    """Return the pixels of all frames as ImageMagick decodes them: RGBA, 16 bits per channel."""
    program = find_convert()
    assert program
    command = [program, f"{kind}:-", *options, "-depth", "16", "rgba:-"]
    result = subprocess.run(command, input=data, capture_output=True, check=False)
    return result.stdout if result.returncode == 0 else b""
