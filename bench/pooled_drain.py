"""`python -m bench.pooled_drain SETTINGS processes|threads`: one pass of the worker.

With `processes` it is what `python -m worker drain` does. With `threads` the transform runs in the
worker's own process: no sandbox, no limits, for comparison only.
"""

import json
import os
import sys
import threading
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory

from worker import transforms
from worker.jobs.bucket_pass import Pass
from worker.jobs.drain import available_cores, pass_context, schedule_of, threads_for
from worker.jobs.own_listing import OwnListing
from worker.ledger.postgres_ledger import open_ledger
from worker.sandbox.pool import Pool
from worker.settings import Pipeline, load
from worker.transforms import Input, Produced

PROCESSES, THREADS = "processes", "threads"
_SECRETS = ("s3-access-key", "s3-secret-key", "database-password")


class ThreadPool:
    """Runs as many transforms at a time as its size, in this process."""

    def __init__(self, pipeline: Pipeline, size: int) -> None:
        found = transforms.find(pipeline.transform)
        self._apply = transforms.load(found).apply
        self._parameters = found.read(json.loads(pipeline.parameters))
        self._pixels = pipeline.limits.pixels
        self._places = threading.Semaphore(size)
        self.unenforced = ["everything: threads are not confined"]

    def run(
        self, sources: Sequence[Path], names: Sequence[str], content: bytes | None = None
    ) -> Produced:
        """Return what was made."""
        if content is not None:
            sources[0].write_bytes(content)
        outputs = sources[0].with_suffix(".out")
        outputs.mkdir()
        with self._places:
            inputs = map(Input, sources, names, repeat(self._pixels))
            return self._apply(list(inputs), outputs, self._parameters)

    def stop(self) -> None:
        """Do nothing: a thread cannot be killed."""

    def close(self) -> None:
        """Do nothing: there are no processes."""


def main(path: str, kind: str) -> None:
    """Make one pass.

    Args:
        path: worker.toml.
        kind: PROCESSES or THREADS.
    """
    settings = load(Path(path), os.environ, _SECRETS)
    pipeline, cores = settings.chosen(None), available_cores()
    with TemporaryDirectory() as name, open_ledger(settings, pipeline.name) as ledger:
        folder = Path(name)
        pool = (
            ThreadPool(pipeline, cores)
            if kind == THREADS
            else Pool(pipeline.transform, pipeline.parameters, pipeline.limits, folder, cores)
        )
        context = pass_context(settings, pipeline, ledger, pool, folder)
        threads = threads_for(cores)
        source = OwnListing(context, threads, schedule_of(settings), linger=0)
        Pass(context, threads, source).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
