"""A pool of long-lived processes that transforms run in, one a core, one file at a time.

They get files' names and nothing else: no credentials, no network. `confine` says what more.
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
from typing import Any

from worker.errors import (
    InvalidInput,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.settings import Limits

_FILES_EACH = 500  # then a new process: decoders leak
_START_SECONDS = 30
# A response holds one of these, with a text.
_ANSWERS = {"content_type", "verdict", "deferred", "memory", "surroundings"}
_LONGEST_ANSWER = 1 << 16
_NOT_OURS = "what it said is no answer of ours"  # a file has taken it over


class _Child:
    """One process that runs transforms."""

    def __init__(self, transform: str, limits: Limits, folder: Path) -> None:
        self._limits = limits
        self.files = 0
        package = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-P", "-s", "-m", "worker.sandbox.child", transform]
        command += [str(limits.memory_mb), str(limits.cpu_seconds), str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=folder,
                env={"PYTHONPATH": str(package), "LC_ALL": "C.UTF-8"},
            )
        except OSError as error:
            raise ServiceUnavailable(
                f"No process for a transform can be started: {error.strerror}."
            ) from (error)
        try:
            self.unenforced: list[str] = self._read(_START_SECONDS)["ready"]
        except TransformCrashed as error:
            self.kill()
            raise ServiceUnavailable(
                f"A process for a transform did not start ({error}): is limits.memory_mb "
                f"({limits.memory_mb}) enough for Python and its libraries?"
            ) from error

    def run(self, source: Path, target: Path) -> dict[str, str]:
        """Its answer about one file."""
        job = {"source": str(source), "target": str(target), "pixels": self._limits.pixels}
        self.files += 1
        assert self._process.stdin  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise TransformCrashed(_cause(self._process.wait())) from error
        answer = self._read(self._limits.seconds)
        if len(answer) != 1 or not _ANSWERS.issuperset(answer):
            raise TransformCrashed(_NOT_OURS)
        return {name: _printable(text) for name, text in answer.items()}

    @property
    def alive(self) -> bool:
        """Whether it may be given a file: one that is idle may have been ended for its memory, and
        one that speaks unasked is not ours any more."""
        return self._process.poll() is None and not self._speaks(0)

    def interrupt(self) -> None:
        """End it at once; whoever waits for its answer sees a TransformCrashed."""
        self._process.kill()

    def kill(self) -> None:
        """End it at once and let go of its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what could not be written any more
                pipe.close()  # type: ignore[union-attr]

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101
        line, deadline = b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            if not self._speaks(max(0, deadline - time.monotonic())):
                raise TransformCrashed(f"it took longer than {seconds} seconds")
            data = os.read(self._process.stdout.fileno(), _LONGEST_ANSWER)
            if not data:
                raise TransformCrashed(_cause(self._process.wait()))
            line += data
            if len(line) > _LONGEST_ANSWER:
                raise TransformCrashed(_NOT_OURS)
        try:
            answer = json.loads(line)
        except ValueError:
            raise TransformCrashed(_NOT_OURS) from None
        if not isinstance(answer, dict):
            raise TransformCrashed(_NOT_OURS)
        return answer

    def _speaks(self, seconds: float) -> bool:
        """Whether it says something, or ends, within so long."""
        assert self._process.stdout  # noqa: S101
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


def _printable(text: object) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text))


def _cause(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    return f"its process was ended by signal {-status}"


class Pool:
    """As many children as there are cores, started when they are first needed.

    `run` must be called from threads that live as long as the pool: Linux ends a child with the
    thread that started it (prctl(2), PR_SET_PDEATHSIG).
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
        """Transform a file and return the result's content type.

        Raises InvalidInput, UploadDeferred, TransformCrashed, ServiceUnavailable, or
        PassInterrupted once the pool is stopped.
        """
        child = self._slots.get()
        try:
            if not (child and child.alive):
                child = self._start(child)
            answer = child.run(source, target)
            if "memory" in answer and child.files > 1:  # perhaps an earlier file's leavings
                child = self._start(child)
                answer = child.run(source, target)
            if "memory" in answer or child.files >= _FILES_EACH:
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
        if "surroundings" in answer:
            raise ServiceUnavailable(f"The transform could not work: {answer['surroundings']}.")
        if "deferred" in answer:
            raise UploadDeferred(answer["deferred"])
        if "content_type" not in answer:
            raise InvalidInput(answer.get("verdict") or answer["memory"])
        return answer["content_type"]

    def stop(self) -> None:
        """End the children that are at work, from any thread or a signal's handler."""
        self._stopped = True
        for child in list(self._children):
            child.interrupt()

    def close(self) -> None:
        """End all children; nobody runs anything any more."""
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
