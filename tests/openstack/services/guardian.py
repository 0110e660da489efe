"""Ends an OpenStack when the process that started it has ended: `guardian.py FOLDER`.

That process holds the other end of its stdin and never writes: it closes with the process, however
that ends. The guardian carries the folder's marker, so an orderly end ends it as well.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import processes


@contextmanager
def watching(folder: Path) -> Iterator[None]:
    """Run a guardian inside the `with` block; it ends with the folder's other processes."""
    guardian = subprocess.Popen(
        [sys.executable, "-m", "tests.openstack.services.guardian", str(folder)],
        stdin=subprocess.PIPE,
        env=processes.environment(folder),
        start_new_session=True,
    )
    with guardian:
        yield


def main(folder: Path) -> None:
    """Wait, then clean up."""
    sys.stdin.read()
    processes.end(folder, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
