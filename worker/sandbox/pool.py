"""Pools that run transforms; one of long-lived processes, one per core, one job at a time."""

import json
import queue
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from worker.environment import Environment
from worker.errors import PassInterrupted, ServiceUnavailable, TransformCrashed
from worker.sandbox import response
from worker.sandbox.child_process import ChildProcess
from worker.settings import Limits
from worker.transforms import Produced, find

_FILES_PER_CHILD = 500  # decoders leak memory


class TransformPool(Protocol):
    """Runs the transform of a pipeline; called from several threads."""

    unenforced: list[str]

    def run(
        self, sources: Sequence[Path], names: Sequence[str], content: bytes | None = None
    ) -> Produced:
        """Transform a file, or all files of a run that a pipeline gathers.

        Args:
            sources: The inputs; they stay where they are.
            names: What the transform sees as their names: the last part of the object key; of
                gathered ones the key, or with several source pipelines PIPELINE/KEY.
            content: The bytes of the only input, if they are in memory and not in its file.

        Returns:
            What was made; its files are beside the first source: its name with the suffixes .0,
            .1 …; small results may be in memory.

        Raises:
            InvalidInput: The file cannot be transformed.
            UploadDeferred: It cannot be transformed yet: the disk is full, a compiled part missing.
            TransformCrashed: The process died or exceeded a limit.
            ServiceUnavailable: No process can be started.
            PassInterrupted: The pool was stopped.
        """

    def stop(self) -> None:
        """Kill the running transforms; later ones raise PassInterrupted."""

    def close(self) -> None:
        """End all processes; nothing may be running."""


class Pool:
    """Implements `TransformPool` with child processes, started when they are first needed.

    `run` must be called from threads that live as long as the pool: Linux kills a child with the
    thread that started it (prctl(2), PR_SET_PDEATHSIG).

    Args:
        transform: The transform's name.
        parameters: Its parameters, a JSON object.
        limits: What one job may cost.
        folder: Where the children's folders are made.
        size: The number of children.
        environment: What is prepared for the pipeline.
        is_model: Whether the policy is `model`, not `picture` (see ChildProcess).

    Raises:
        InvalidSettings: There is no such transform, or the parameters are not its own.
    """

    def __init__(
        self,
        transform: str,
        parameters: str,
        limits: Limits,
        folder: Path,
        size: int,
        *,
        environment: Environment | None = None,
        is_model: bool = False,
    ) -> None:
        self._transform, self._limits, self._folder = transform, limits, folder
        self._environment, self._is_model = environment or Environment(), is_model
        self._parameters: dict[str, object] = json.loads(parameters)
        find(transform, self._environment.folder).read(self._parameters)
        self._slots: queue.LifoQueue[ChildProcess | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._children: set[ChildProcess] = set()
        self._stopped = False
        self.unenforced: list[str] = []

    def run(
        self, sources: Sequence[Path], names: Sequence[str], content: bytes | None = None
    ) -> Produced:
        """See `TransformPool.run`."""
        child = self._slots.get()
        try:
            if not (child and child.is_idle):
                child = self._start(child)
            message = child.run(sources, names, content)
            failure = response.failure(message)
            # Earlier files may have leaked memory.
            if failure and failure.kind == "memory" and child.files > 1:
                child = self._start(child)
                message = child.run(sources, names, content)
                failure = response.failure(message)
            produced = None if failure else child.collect(message, sources[0])
            log = child.discard() if failure else ""
            if (failure and failure.kind == "memory") or child.files >= _FILES_PER_CHILD:
                self._end(child)
                child = None
        except (TransformCrashed, ServiceUnavailable):
            self._end(child)
            child = None
            if self._stopped:
                raise PassInterrupted from None
            raise
        finally:
            self._slots.put(child)
        if produced:
            return produced
        assert failure  # noqa: S101
        raise failure.error(log)

    def stop(self) -> None:
        """See `TransformPool.stop`; any thread or a signal handler may call it."""
        self._stopped = True
        for child in list(self._children):
            child.interrupt()

    def close(self) -> None:
        """See `TransformPool.close`."""
        for child in list(self._children):
            self._end(child)

    def _start(self, former: ChildProcess | None) -> ChildProcess:
        self._end(former)
        child = ChildProcess(
            self._transform,
            self._parameters,
            self._limits,
            self._folder,
            self._environment,
            is_model=self._is_model,
        )
        self._children.add(child)
        self.unenforced = child.unenforced
        if self._stopped:
            child.interrupt()
        return child

    def _end(self, child: ChildProcess | None) -> None:
        if child:
            self._children.discard(child)
            child.kill()
