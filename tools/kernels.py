"""Build the kernels that machines have from their first pass: `python -m tools.kernels`.

Run it after changing C in `worker/transforms/negate/`. The pinned compiler, Zig's clang from the
wheel `ziglang`, brings its own C library and linker: it builds the same bytes on every computer,
and `tests/lint/test_kernels.py` compares them. docs/measurements.md compares them with gcc's.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from worker.transforms.negate import build, kernels

#: As platform.machine() names them.
ARCHITECTURES = ("x86_64", "aarch64")
#: The oldest C library that they load with: Debian 11's, Ubuntu 20.04's.
_GLIBC = "2.31"


def build_all(folder: Path) -> list[Path]:
    """Build the library of each architecture.

    Args:
        folder: Where they go.

    Returns:
        The libraries.

    Raises:
        CalledProcessError: The compiler failed; it printed why.
    """  # noqa: DOC502  raised by what it calls
    return [_build(folder, architecture) for architecture in ARCHITECTURES]


def _build(folder: Path, architecture: str) -> Path:
    target = folder.resolve() / kernels.file_name(architecture)
    command = [sys.executable, "-m", "ziglang", "cc", *build.FLAGS, "-s"]
    command += ["-target", f"{architecture}-linux-gnu.{_GLIBC}", "-o", str(target)]
    # A cache of its own: nothing of earlier builds, and nothing in the user's home.
    with TemporaryDirectory() as cache:
        subprocess.run(
            [*command, *(source.name for source in kernels.SOURCES)],
            cwd=kernels.FOLDER,  # relative names: no path of this computer gets into the library
            env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
            check=True,
        )
    target.chmod(0o644)
    return target


def main() -> None:
    """Replace the libraries of earlier sources."""
    kernels.PREBUILT.mkdir(exist_ok=True)
    built = build_all(kernels.PREBUILT)
    for outdated in set(kernels.PREBUILT.iterdir()) - set(built):
        outdated.unlink()
    for library in built:
        print(f"{library}: {library.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
