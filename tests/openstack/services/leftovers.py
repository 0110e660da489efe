"""Folders of runs whose guardian was killed too: the next run ends what they left."""

import fcntl
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from local import processes

PREFIX = "image-pipeline-openstack-"
LOCK = "owner.lock"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Shows other runs that the folder's owner lives; a kill lets go."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def naming(folder: Path) -> list[str]:
    """Command lines that name the folder: of processes that lost their marker, too."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if str(folder) in line:
                found.append(line)
    return found


def remove() -> None:
    """End and remove every folder without a running owner."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            with (folder / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                processes.end(folder, signal.SIGKILL)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # owned, not ours, or just being made
            continue
