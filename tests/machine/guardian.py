"""Removes a stack when the tests that made it are gone: `python -m tests.machine.guardian BASE`.

The process that starts it holds the other end of its standard input and never writes: it closes
with that process, however it ends. Everything below BASE belongs to the stack: the commands that
deploy it, its cloud, its machines.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from local.cloud import LocalCloud
from tests.checkout import PROJECT


@contextmanager
def watching(base: Path) -> Iterator[None]:
    """Run a guardian inside the `with` block."""
    guardian = subprocess.Popen(
        [sys.executable, "-m", "tests.machine.guardian", str(base)],
        stdin=subprocess.PIPE,
        cwd=PROJECT,
        start_new_session=True,
    )
    with guardian:
        yield


def main(base: Path) -> None:
    """Wait, then clean up; first the processes that could start more."""
    sys.stdin.read()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if base in Path(process.cwd()).parents:
                process.kill()
    LocalCloud(base / "project/.local/cloud").stop()
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
