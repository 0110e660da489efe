"""`python -m bench.pooled_drain SETTINGS processes|threads`: a pass of the worker's own parts.

With `processes` it is what `python -m worker drain` does. With `threads` the transform runs in the
worker's own process: no sandbox, no limits, for comparison only.
"""

import os
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from worker import transforms
from worker.jobs.bucket_pass import Pass
from worker.jobs.steps import Context
from worker.ledger.postgres_ledger import open_ledger
from worker.sandbox.pool import Pool
from worker.settings import Settings, load
from worker.store.s3_store import open_store

PROCESSES, THREADS = "processes", "threads"
_SECRETS = ("s3-access-key", "s3-secret-key", "database-password")


class ThreadPool(Pool):
    """As many transforms at a time as the pool has places; no child is ever started."""

    def __init__(self, settings: Settings, folder: Path, size: int) -> None:
        super().__init__(settings.transform, settings.limits, folder, size)
        self._apply = transforms.load(settings.transform).apply
        self._parameters = {"pixels": settings.limits.pixels}
        self._places = threading.Semaphore(size)

    def run(self, source: Path, target: Path) -> str:
        """The result's content type; InvalidInput as the transform raises it."""
        with self._places:
            return self._apply(source, target, self._parameters)


def main(path: str, kind: str) -> None:
    """Make one pass; ServiceUnavailable where something stands in its way."""
    settings = load(Path(path), os.environ, _SECRETS)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with (
        TemporaryDirectory() as name,
        open_ledger(settings) as ledger,
    ):
        folder = Path(name)
        pool = (
            ThreadPool(settings, folder, cores or 1)
            if kind == THREADS
            else Pool(settings.transform, settings.limits, folder, cores or 1)
        )
        context = Context(
            open_store(settings),
            settings.store,
            ledger,
            pool,
            settings.transform,
            settings.machine,
            folder,
        )
        Pass(context, 2 * (cores or 1) + 2).run(0)  # as many as drain has


if __name__ == "__main__":
    main(*sys.argv[1:])
