"""`python3 -m worker.installation LOCK FOLDER INSTALLER`: install the worker's Python packages.

They are unpacked without pip; what wheels.py refuses is installed by pip. Standard library only: no
package is installed yet.
"""

import os
import shutil
import sys
import venv
from pathlib import Path

from worker import wheels
from worker.errors import ServiceUnavailable


def install(lock: Path, folder: Path, installer: Path) -> None:
    """Make the virtual environment of the worker.

    Args:
        lock: The packages, each with its version and hashes.
        folder: The environment, which must not exist.
        installer: The script that installs Debian packages (cloud-init/install).

    Raises:
        ServiceUnavailable: pip cannot install them either.
    """  # noqa: DOC502  raised by install_by_pip
    try:
        index = wheels.configured_index(wheels.read_settings(), os.environ)
        wheels.install(lock, folder, index)
    except (ServiceUnavailable, OSError) as error:
        print(f"Packages cannot be installed without pip: {error}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        # Only here: its imports take longer than those of all the rest.
        from worker.preparation import install_by_pip, require_pip  # noqa: PLC0415

        require_pip(installer)
        venv.create(folder, symlinks=True)
        install_by_pip(folder / "bin/python", lock)


def main(lock: str, folder: str, installer: str) -> int:
    """Return the exit status: 0 done, 1 failed."""
    print("Installing the worker's Python packages", flush=True)
    try:
        install(Path(lock), Path(folder), Path(installer))
    except (ServiceUnavailable, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("The worker is installed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
