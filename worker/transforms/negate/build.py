"""Build the compiled kernels: `python -m worker.transforms.negate.build [FOLDER]`.

FOLDER is where the library goes, by default the user's cache; the worker looks there and beside the
sources. Needs a C compiler ($CC, else cc or gcc) and takes about two seconds; does nothing if the
library is there already. Exit status: 0 built, 1 not built, with the reason.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from worker.transforms.negate import kernels

_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-fPIC", "-shared")


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
        command = [compiler, *_FLAGS, "-o", str(output), *map(str, kernels.SOURCES)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            first_line = (result.stderr.strip() or "no error message").splitlines()[0]
            raise OSError(f"{compiler} failed: {first_line}")
        output.chmod(0o755)
        output.replace(target)  # atomic: another process may be loading it
    return target


def main(arguments: list[str]) -> int:
    """Build, and print where the library is or why it was not built."""
    try:
        library = build(Path(arguments[0]) if arguments else kernels.cache())
        print(f"Compiled kernels: {library}")
    except OSError as error:
        print(f"The compiled kernels were not built: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
