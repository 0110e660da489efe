"""Compile the kernels where no prebuilt ones load: `python -m worker build`.

Needs a C compiler ($CC, else cc or gcc) and takes some seconds.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from worker.transforms.negate import kernels

#: Of every compiler, `python -m tools.kernels` too.
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-fPIC", "-shared")


def build(folder: Path) -> Path:
    """Compile the library, unless this computer has one.

    Args:
        folder: Where it goes; created if it is missing.

    Returns:
        The library.

    Raises:
        OSError: There is no compiler, it failed, or the folder cannot be written.
    """  # noqa: DOC502  raised by what it calls
    return kernels.path(kernels.library) if kernels.library else compile_library(folder)


def compile_library(folder: Path) -> Path:
    """Compile the library; arguments, result and errors as of `build`."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise OSError("there is no C compiler (install gcc)")
    target = folder / kernels.file_name()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        output = Path(scratch) / target.name
        command = [compiler, *FLAGS, "-o", str(output), *map(str, kernels.SOURCES)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            first_line = (result.stderr.strip() or "no error message").splitlines()[0]
            raise OSError(f"{compiler} failed: {first_line}")
        output.chmod(0o755)
        output.replace(target)  # atomic: another process may be loading it
    return target


def prepare() -> str | None:
    """Compile the library into the user's cache if there is none, and load it into this process.

    Returns:
        None, or a sentence that says why there is none.
    """
    if kernels.library is None:
        try:
            kernels.library = kernels.load(build(kernels.cache()).parent)
        except OSError as error:
            return f"negate has no compiled kernels: {error}."
    return None
