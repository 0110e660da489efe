"""Fuzz the kernels under the address and undefined-behavior sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.fuzz import seeds
from worker.transforms.negate import kernels

COMPILER = shutil.which("gcc") or shutil.which("cc")
_FLAGS = [
    *("-O1", "-g", "-std=gnu11", "-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
]


def run(folder: Path, seconds: float, seed: int) -> str:
    """Build the driver and run it.

    Args:
        folder: For the driver and its input.
        seconds: How long it runs.
        seed: Of the random numbers.

    Returns:
        What the driver counted.
    """
    assert COMPILER
    driver = folder / "driver"
    sources = [Path(__file__).with_name("driver.c"), *kernels.SOURCES]
    subprocess.run([COMPILER, *_FLAGS, "-o", driver, *sources], check=True)
    files = []
    for name, data in (seeds.jpegs() | seeds.streams()).items():
        files.append(folder / name)
        files[-1].write_bytes(data)
    result = subprocess.run(
        [driver, str(round(seconds)), str(seed), *files],
        env=os.environ | {"ASAN_OPTIONS": "allocator_may_return_null=1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout.strip()
