"""A pool of long-lived processes that run transforms: one per core, one file at a time.

They receive a file and nothing else: no credentials, no network (see confinement.py). Each has a
folder of its own: the parent moves the file in and the results out, so that a file that compromises
its process reaches no other job's.
"""

import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from worker.errors import (
    InvalidInput,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.sandbox import response
from worker.settings import Limits
from worker.transforms import Produced, find
from worker.transforms.parameters import read

_FILES_PER_CHILD = 500  # decoders leak memory
_START_SECONDS = 30
_WRITE_SECONDS = 10  # a message fits into the pipe unless the child does not read
_EXIT_SECONDS = 5
_MAX_RESPONSE_BYTES = 1 << 21


class TransformPool(Protocol):
    """Runs the transform of a pipeline; called from several threads."""

    unenforced: list[str]

    def run(self, sources: Sequence[Path], names: Sequence[str]) -> Produced:
        """Transform a file, or all files of a run that a pipeline gathers.

        Args:
            sources: The inputs; they stay where they are.
            names: What the transform sees as their names: the last part of the object key; of
                gathered ones the key, or with several source pipelines PIPELINE/KEY.

        Returns:
            What was made; its files are beside the first source: its name with the suffixes .0,
            .1 …

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


class _Child:
    """One process that runs transforms."""

    def __init__(
        self, transform: str, parameters: Mapping[str, object], limits: Limits, folder: Path
    ) -> None:
        self._limits = limits
        self.files = 0
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self._input = self._folder / "in" / "input"
        self._outputs = self._folder / "out"
        self._input.parent.mkdir()
        self._outputs.mkdir()
        source_folder = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-P", "-s", "-m", "worker.sandbox.child", transform]
        command += [str(limits.memory_mb), str(limits.cpu_seconds), str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                [*command, str(self._input)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=self._outputs,
                env={"PYTHONPATH": str(source_folder), "LC_ALL": "C.UTF-8"},
                process_group=0,
            )
        except OSError as error:
            raise ServiceUnavailable(
                f"A process for transforms cannot be started: {error.strerror}."
            ) from error
        try:
            self._write({"parameters": parameters, "max_pixels": limits.pixels})
            self.unenforced: list[str] = self._read(_START_SECONDS)["ready"]
        except TransformCrashed as error:
            self.kill()
            raise ServiceUnavailable(
                f"A process for transforms did not start ({error}): check that limits.memory_mb "
                f"({limits.memory_mb}) is enough for Python and its libraries."
            ) from error

    def run(self, source: Path, name: str) -> dict[str, Any]:
        """Return the child's response to a file."""
        self.files += 1
        os.rename(source, self._input)  # noqa: PTH104  pathlib takes five times as long
        try:
            self._write({"name": name})
            return self._read(self._limits.seconds)
        finally:
            os.rename(self._input, source)  # noqa: PTH104

    def collect(self, produced: Mapping[str, Any], source: Path) -> Produced:
        """Move the results of the last file out of the child's folder."""
        return response.collect(produced, self._outputs, source)

    def discard(self) -> None:
        """Delete what the last file left in the child's folder."""
        response.empty(self._outputs)

    @property
    def is_idle(self) -> bool:
        """Whether it can take a file.

        The kernel may have killed it because memory was short. Output without a pending job means
        that the child is compromised.
        """
        assert self._process.stdout  # noqa: S101
        return self._process.poll() is None and not _is_ready(
            self._process.stdout, select.POLLIN, 0
        )

    def interrupt(self) -> None:
        """Kill it; a thread that waits for its response gets TransformCrashed."""
        # Its process group too: not every platform forbids starting programs (confinement.py).
        with suppress(ProcessLookupError, PermissionError):  # it has ended
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it and close its pipes."""
        self.interrupt()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # data that could not be written
                pipe.close()  # type: ignore[union-attr]
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, message: Mapping[str, object]) -> None:
        assert self._process.stdin  # noqa: S101
        rest = json.dumps(message).encode() + b"\n"
        deadline = time.monotonic() + _WRITE_SECONDS
        try:
            while rest:
                if not _is_ready(self._process.stdin, select.POLLOUT, deadline):
                    raise TransformCrashed("its process does not read")
                rest = rest[os.write(self._process.stdin.fileno(), rest[: select.PIPE_BUF]) :]
        except BrokenPipeError as error:
            raise TransformCrashed(self._cause()) from error

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101
        line, deadline = b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            if not _is_ready(self._process.stdout, select.POLLIN, deadline):
                raise TransformCrashed(f"it took longer than {seconds} seconds")
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                raise TransformCrashed(self._cause())
            line += data
            if len(line) > _MAX_RESPONSE_BYTES:
                raise TransformCrashed(response.INVALID)
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise TransformCrashed(response.INVALID) from None
        if not isinstance(message, dict):
            raise TransformCrashed(response.INVALID)
        return message

    def _cause(self) -> str:
        """Return why its pipes are closed; a process that runs on without them is compromised."""
        try:
            status = self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return response.INVALID
        if status >= 0:
            return f"its process ended with status {status}"
        return f"its process was killed by signal {-status}"


def _is_ready(pipe: IO[bytes], event: int, deadline: float) -> bool:
    """Wait until a pipe can be read or written, or its other end is closed."""
    poll = select.poll()
    poll.register(pipe, event)
    return bool(poll.poll(max(0, deadline - time.monotonic()) * 1000))


class Pool:
    """Implements `TransformPool` with child processes, started when they are first needed.

    `run` must be called from threads that live as long as the pool: Linux kills a child with the
    thread that started it (prctl(2), PR_SET_PDEATHSIG).

    Args:
        transform: The transform's name.
        parameters: Its parameters, a JSON object.
        limits: What one file may cost.
        folder: Where the children's folders are made.
        size: The number of children.

    Raises:
        InvalidSettings: There is no such transform, or the parameters are not its own.
    """

    def __init__(
        self, transform: str, parameters: str, limits: Limits, folder: Path, size: int
    ) -> None:
        self._transform, self._limits, self._folder = transform, limits, folder
        self._parameters: dict[str, object] = json.loads(parameters)
        read(find(transform).parameters_type, self._parameters)
        self._slots: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._children: set[_Child] = set()
        self._stopped = False
        self.unenforced: list[str] = []

    def run(self, sources: Sequence[Path], names: Sequence[str]) -> Produced:
        """See `TransformPool.run`."""
        (source,), (name,) = sources, names
        child = self._slots.get()
        try:
            if not (child and child.is_idle):
                child = self._start(child)
            message = child.run(source, name)
            failure = response.failure(message)
            # Earlier files may have leaked memory.
            if failure and failure.kind == "memory" and child.files > 1:
                child = self._start(child)
                message = child.run(source, name)
                failure = response.failure(message)
            produced = None if failure else child.collect(message, source)
            if failure:
                child.discard()
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
        if failure.kind in ("environment", "deferred"):
            raise UploadDeferred(failure.reason)
        raise InvalidInput(failure.reason)

    def stop(self) -> None:
        """See `TransformPool.stop`; any thread or a signal handler may call it."""
        self._stopped = True
        for child in list(self._children):
            child.interrupt()

    def close(self) -> None:
        """See `TransformPool.close`."""
        for child in list(self._children):
            self._end(child)

    def _start(self, former: _Child | None) -> _Child:
        self._end(former)
        child = _Child(self._transform, self._parameters, self._limits, self._folder)
        self._children.add(child)
        self.unenforced = child.unenforced
        if self._stopped:
            child.interrupt()
        return child

    def _end(self, child: _Child | None) -> None:
        if child:
            self._children.discard(child)
            child.kill()
