"""A folder for one run, and with it all that runs in it, gone however the run ends."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from local import postgres

_PREFIX = "image-pipeline-bench-"


@contextmanager
def folder() -> Iterator[Path]:
    """Made new; what a run that was killed left is ended and removed first."""
    _sweep()

    def stop(_number: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    former = signal.signal(signal.SIGTERM, stop)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as name:
        yield Path(name)
    signal.signal(signal.SIGTERM, former)


def _sweep() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and psutil.pid_exists(int(owner)):
            continue
        with suppress(OSError):  # somebody else's
            for marker in list(left.rglob("marker")):
                postgres.stop(marker.parent)  # ends whatever carries the marker
            shutil.rmtree(left)
