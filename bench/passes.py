"""Passes of several pipelines of a stack that run at the same time."""

import subprocess
import time
from typing import Self

from bench import usage
from bench.pipeline import WorkerPipeline

_LOOK_SECONDS = 0.2
_STOP_SECONDS = 20


class Passes:
    """A pass of each pipeline, running as a machine's units do until the context ends."""

    def __init__(self, pipeline: WorkerPipeline, *names: str) -> None:
        self._pipeline, self._names = pipeline, names
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        pipeline, before = self._pipeline, self._pipeline.environment
        for name in self._names:
            state = pipeline.folder / f"state-{name}"
            pipeline.environment = before | {"STATE_DIRECTORY": str(state)}
            with (pipeline.folder / f"{name}.log").open("w", encoding="utf-8") as log:
                words = ("drain", "--pipeline", name, "--linger", "3600")
                self._running[name] = pipeline.popen(*words, stdout=log)
        pipeline.environment = before
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.communicate(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def pids(self) -> dict[str, int]:
        """Return the ids of the processes by pipeline."""
        return {name: process.pid for name, process in self._running.items()}

    def cpu(self) -> float:
        """Return the CPU seconds of the workers and their transforms so far."""
        return sum(usage.tree_cpu_seconds(one.pid) for one in self._running.values())

    def await_done(self, name: str, count: int) -> None:
        """Wait until a pipeline has done a number of jobs, or more.

        Raises:
            RuntimeError: A pass ended before.
        """
        done = "SELECT count(*) FROM pipeline.results WHERE outcome = 'done' AND pipeline = %s"
        while self._pipeline.sql(done, name)[0]["count"] < count:
            for each, process in self._running.items():
                if process.poll() is not None:
                    reason = process.communicate()[1]
                    raise RuntimeError(f"the pass of {each} ended: {reason}")
            time.sleep(_LOOK_SECONDS)
