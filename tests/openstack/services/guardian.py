"""Ends an OpenStack when whoever started it is gone: `guardian.py FOLDER`, told by its stdin.

Whoever started it holds the other end and never writes: it closes with that process, however that
ends. It carries the folder's marker, so an orderly end takes it along.
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
    """A guardian for the time inside, which goes with the folder's other processes."""
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
