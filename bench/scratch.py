"""A temporary folder for one run, removed with its processes however the run ends."""

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
    """Create the folder; what killed runs left behind is stopped and removed first."""
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
        with suppress(OSError):  # another user's
            for marker in list(left.rglob("marker")):
                postgres.stop(marker.parent)  # stops every process that carries the marker
            shutil.rmtree(left)
