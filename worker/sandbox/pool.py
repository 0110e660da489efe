"""A pool of long-lived processes that run transforms: one per core, one file at a time.

They receive file names and nothing else: no credentials, no network (see confinement.py).
"""

import json
import os
import queue
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from worker.errors import (
    InvalidInput,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.settings import Limits

_FILES_PER_CHILD = 500  # decoders leak memory
_START_SECONDS = 30
# A response of a child has one of these keys; its value is a text.
_RESPONSE_KEYS = {"content_type", "invalid", "deferred", "memory", "environment"}
_MAX_RESPONSE_BYTES = 1 << 16
_BAD_RESPONSE = "its process sent an invalid response"  # the file may have compromised it


class TransformPool(Protocol):
    """Runs the transform of a pipeline; called from several threads."""

    unenforced: list[str]

    def run(self, source: Path, target: Path) -> str:
        """Transform a file.

        Args:
            source: The input.
            target: Where the result goes; undefined content after an error.

        Returns:
            The result's content type.

        Raises:
            InvalidInput: The file cannot be transformed.
            UploadDeferred: It cannot be transformed yet.
            TransformCrashed: The process died or exceeded a limit.
            ServiceUnavailable: The machine prevents it: a full disk, no memory for a process.
            PassInterrupted: The pool was stopped.
        """

    def stop(self) -> None:
        """Kill the running transforms; later ones raise PassInterrupted."""

    def close(self) -> None:
        """End all processes; nothing may be running."""


class _Child:
    """One process that runs transforms."""

    def __init__(self, transform: str, limits: Limits, folder: Path) -> None:
        self._limits = limits
        self.files = 0
        source_folder = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-P", "-s", "-m", "worker.sandbox.child", transform]
        command += [str(limits.memory_mb), str(limits.cpu_seconds), str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=folder,
                env={"PYTHONPATH": str(source_folder), "LC_ALL": "C.UTF-8"},
            )
        except OSError as error:
            raise ServiceUnavailable(
                f"A process for transforms cannot be started: {error.strerror}."
            ) from error
        try:
            self.unenforced: list[str] = self._read(_START_SECONDS)["ready"]
        except TransformCrashed as error:
            self.kill()
            raise ServiceUnavailable(
                f"A process for transforms did not start ({error}): check that limits.memory_mb "
                f"({limits.memory_mb}) is enough for Python and its libraries."
            ) from error

    def run(self, source: Path, target: Path) -> dict[str, str]:
        """Return the child's response to a file."""
        job = {"source": str(source), "target": str(target), "pixels": self._limits.pixels}
        self.files += 1
        assert self._process.stdin  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise TransformCrashed(_cause(self._process.wait())) from error
        response = self._read(self._limits.seconds)
        if len(response) != 1 or not _RESPONSE_KEYS.issuperset(response):
            raise TransformCrashed(_BAD_RESPONSE)
        return {name: _printable(text) for name, text in response.items()}

    @property
    def is_idle(self) -> bool:
        """Whether it can take a file.

        The kernel may have killed it for memory. Output without a pending job means the child is
        compromised.
        """
        return self._process.poll() is None and not self._has_output(0)

    def interrupt(self) -> None:
        """Kill it; a thread that waits for its response gets TransformCrashed."""
        self._process.kill()

    def kill(self) -> None:
        """Kill it and close its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # data that could not be written
                pipe.close()  # type: ignore[union-attr]

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101
        line, deadline = b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            if not self._has_output(max(0, deadline - time.monotonic())):
                raise TransformCrashed(f"it took longer than {seconds} seconds")
            data = os.read(self._process.stdout.fileno(), _MAX_RESPONSE_BYTES)
            if not data:
                raise TransformCrashed(_cause(self._process.wait()))
            line += data
            if len(line) > _MAX_RESPONSE_BYTES:
                raise TransformCrashed(_BAD_RESPONSE)
        try:
            response = json.loads(line)
        except ValueError:
            raise TransformCrashed(_BAD_RESPONSE) from None
        if not isinstance(response, dict):
            raise TransformCrashed(_BAD_RESPONSE)
        return response

    def _has_output(self, seconds: float) -> bool:
        """Wait for output, or for the end of it."""
        assert self._process.stdout  # noqa: S101
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


def _printable(text: object) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text))


def _cause(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    return f"its process was killed by signal {-status}"


class Pool:
    """Implements `TransformPool` with child processes, started when they are first needed.

    `run` must be called from threads that live as long as the pool: Linux kills a child with the
    thread that started it (prctl(2), PR_SET_PDEATHSIG).

    Args:
        transform: The transform's name.
        limits: What one file may cost.
        folder: The only folder that children can write to.
        size: The number of children.
    """

    def __init__(self, transform: str, limits: Limits, folder: Path, size: int) -> None:
        self._transform, self._limits, self._folder = transform, limits, folder
        self._slots: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._children: set[_Child] = set()
        self._stopped = False
        self.unenforced: list[str] = []

    def run(self, source: Path, target: Path) -> str:
        """See `TransformPool.run`."""
        child = self._slots.get()
        try:
            if not (child and child.is_idle):
                child = self._start(child)
            response = child.run(source, target)
            if "memory" in response and child.files > 1:  # earlier files may have leaked
                child = self._start(child)
                response = child.run(source, target)
            if "memory" in response or child.files >= _FILES_PER_CHILD:
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
        if "environment" in response:
            raise ServiceUnavailable(f"The transform could not work: {response['environment']}.")
        if "deferred" in response:
            raise UploadDeferred(response["deferred"])
        if "content_type" not in response:
            raise InvalidInput(response.get("invalid") or response["memory"])
        return response["content_type"]

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
        child = _Child(self._transform, self._limits, self._folder)
        self._children.add(child)
        self.unenforced = child.unenforced
        if self._stopped:
            child.interrupt()
        return child

    def _end(self, child: _Child | None) -> None:
        if child:
            self._children.discard(child)
            child.kill()
