"""Build the transforms' compiled parts: `python -m worker.transforms.build [FOLDER]`.

FOLDER: where the shared object goes, by default the user's cache; a worker looks there and beside
the sources. Needs a C compiler ($CC, else cc or gcc). Takes two seconds; does nothing where the
file is there already. Exit status: 0 built, 1 not (one sentence says why; the worker works
without, slower).
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
    """Build into folder and return the shared object; OSError where that is impossible."""
    target = folder / kernels.file_name()
    if target.exists():
        return target
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise OSError("there is no C compiler (install gcc)")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made = Path(temporary) / target.name
        command = [compiler, *_FLAGS, "-o", str(made), *map(str, kernels.SOURCES)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            first = (result.stderr.strip() or "it said nothing").splitlines()[0]
            raise OSError(f"{compiler} failed: {first}")
        made.chmod(0o755)
        made.replace(target)  # all at once: another process may be loading it
    return target


def main(arguments: list[str]) -> int:
    """Build, and say where or why not."""
    try:
        print(build(Path(arguments[0]) if arguments else kernels.cache()))
    except OSError as error:
        print(f"The fast transforms were not built: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
