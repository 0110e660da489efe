"""Build the compiled kernels; `python -m worker build` does so beside their sources.

Needs a C compiler ($CC, else cc or gcc) and takes about two seconds; does nothing if the library is
there already.
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
    """Build the library.

    Args:
        folder: Where it goes; created if it is missing.

    Returns:
        The library.

    Raises:
        OSError: There is no compiler, it failed, or the folder cannot be written.
    """
    target = folder / kernels.file_name()
    if target.exists():
        return target
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise OSError("there is no C compiler (install gcc)")
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
    """Build the library in the user's cache if it is missing, and load it into this process.

    Returns:
        None, or a sentence that says why pictures are negated without it.
    """
    if kernels.library is None:
        try:
            kernels.library = kernels.load(build(kernels.cache()).parent)
        except OSError as error:
            return f"Running without the compiled kernels, many times slower: {error}."
    return None
