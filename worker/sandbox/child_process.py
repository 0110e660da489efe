"""One process that runs transforms, as its parent sees it.

It receives files and nothing else: no credentials, no network (see confinement.py). It has a folder
of its own: the parent moves the files in and the results out, so that a file that compromises it
reaches no other job's.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker import folder_removal
from worker.environment import Environment
from worker.errors import ServiceUnavailable, TransformCrashed
from worker.sandbox import response
from worker.sandbox.input_names import input_paths
from worker.sandbox.job_memory import MAX_BYTES, JobMemory
from worker.sandbox.job_paths import INPUT, without_folder
from worker.sandbox.output_tail import OutputTail
from worker.settings import Limits
from worker.transforms import Produced

_START_SECONDS = 30
_WRITE_SECONDS = 10  # a message fits into the pipe unless the child does not read
_EXIT_SECONDS = 5
_MAX_RESPONSE_BYTES = 1 << 21
_PIPE_BYTES = 1 << 16  # what a pipe holds (pipe(7))
#: For libraries of models: one thread, since there is a process for each core, and no network.
_MODEL_VARIABLES = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",  # each further one takes 64 MB of address space, which is limited
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # else onnxruntime keeps an identifier and calls Microsoft
}


class ChildProcess:
    """One process that runs transforms.

    Args:
        transform: The transform's name.
        parameters: Its parameters, a JSON object.
        limits: What one file may cost.
        folder: Where its folder is made.
        environment: The interpreter, and what it can read.
        is_model: Whether its policy is `model`: it can read the environment's folder and files, and
            what it prints becomes its log.

    Raises:
        ServiceUnavailable: It cannot be started.
    """

    def __init__(
        self,
        transform: str,
        parameters: Mapping[str, object],
        limits: Limits,
        folder: Path,
        environment: Environment,
        *,
        is_model: bool,
    ) -> None:
        self._limits, self._is_model = limits, is_model
        self.files = 0
        self._log = OutputTail()
        self._folder = Path(tempfile.mkdtemp(dir=folder.resolve()))
        self._inputs, self._outputs = self._folder / "in", self._folder / "out"
        self._scratch = self._folder / "tmp"
        for each in (self._inputs, self._outputs, *([self._scratch] if is_model else [])):
            each.mkdir()
        command = [str(environment.python), "-P", "-s", "-m", "worker.sandbox.child", transform]
        command += [str(limits.memory_mb), str(limits.cpu_seconds), str(os.getpid())]
        variables = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "LC_ALL": "C.UTF-8"}
        pipeline = {"parameters": parameters, "max_pixels": limits.pixels}
        # Code of users opens its inputs by their names.
        self._memory = None if is_model else _shared_memory()
        shared = [self._memory.input, self._memory.results] if self._memory else []
        if self._memory:
            pipeline["memory"] = self._memory.results
        if is_model:
            variables |= _MODEL_VARIABLES | dict.fromkeys(("HOME", "TMPDIR"), str(self._scratch))
            pipeline |= {**environment.as_json(), "scratch": str(self._scratch)}
        try:
            self._process = subprocess.Popen(
                [*command, str(self._inputs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if is_model else None,
                cwd=self._outputs,
                env=variables,
                process_group=0,
                pass_fds=shared,
            )
        except OSError as error:
            if self._memory:
                self._memory.close()
            folder_removal.remove(self._folder)  # needs descriptors, of which there may be no more
            raise ServiceUnavailable(
                f"A process for transforms cannot be started: {error.strerror}."
            ) from error
        assert self._process.stdin and self._process.stdout  # noqa: S101
        os.set_blocking(self._process.stdin.fileno(), False)
        self._responses = select.poll()
        self._responses.register(self._process.stdout, select.POLLIN)
        if self._process.stderr:
            os.set_blocking(self._process.stderr.fileno(), False)
        self.unenforced: list[str] = self._started(pipeline)["ready"]

    def _started(self, pipeline: Mapping[str, object]) -> dict[str, Any]:
        """Return the first message of a process that is ready."""
        seconds = max(_START_SECONDS, self._limits.seconds) if self._is_model else _START_SECONDS
        try:
            self._write(pipeline)
            message = self._read(seconds)
        except TransformCrashed as error:
            *_, last = ["", *self._printed().splitlines()]
            self.kill()
            raise ServiceUnavailable(
                f"A process for transforms did not start ({error}): check that limits.memory_mb "
                f"({self._limits.memory_mb}) is enough for Python and its libraries."
                f"{' It printed: ' + last if last else ''}"
            ) from error
        if "ready" not in message:
            self.kill()
            raise ServiceUnavailable(response.printable(message.get("failed", response.INVALID)))
        self._printed()  # while it started: it belongs to no file
        return message

    def run(
        self, sources: Sequence[Path], names: Sequence[str], content: bytes | None
    ) -> dict[str, Any]:
        """Return the child's response to files; see `TransformPool.run`."""
        self.files += 1
        if content is not None:
            if self._memory and len(content) <= MAX_BYTES:
                self._memory.put(content)
                return self._respond([self._memory.input_path], names)
            sources[0].write_bytes(content)
        paths = input_paths(names) if self._is_model else [INPUT]
        with self._moved(sources, [self._inputs / path for path in paths]):
            return self._respond(paths, names)

    def _respond(self, paths: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
        try:
            self._write({"names": list(names), "paths": paths})
            return self._read(self._limits.seconds)
        except TransformCrashed as error:
            raise TransformCrashed(str(error), self._printed()) from error

    @contextmanager
    def _moved(self, sources: Sequence[Path], targets: Sequence[Path]) -> Iterator[None]:
        """Move inputs to where the child can read them, and back."""
        moved = []
        try:
            for source, target in zip(sources, targets, strict=True):
                if target.parent != self._inputs:
                    target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(source, target)  # noqa: PTH104  pathlib takes five times as long
                moved.append((source, target))
            yield
        finally:
            for source, target in moved:
                os.rename(target, source)  # noqa: PTH104

    def collect(self, produced: Mapping[str, Any], source: Path) -> Produced:
        """Move the results of the last file out of the child's folder."""
        made = response.collect(produced, self._outputs, source, self._memory)
        log = self._end_job()
        return replace(made, log=log) if log else made

    def discard(self) -> str:
        """Delete what the last file left in the child's folder, and return its log."""
        response.empty(self._outputs)
        return self._end_job()

    def _end_job(self) -> str:
        """Delete the last job's temporary files, and return what it printed."""
        for folder in (self._scratch, self._inputs) if self._is_model else ():
            folder_removal.empty(folder)
        return self._printed()

    def _printed(self) -> str:
        """Return the end of what it printed since the last call; "" unless it is a model."""
        if self._is_model:
            self._read_log()
        return without_folder(self._log.take(), self._folder)

    @property
    def is_idle(self) -> bool:
        """Whether it can take a file.

        The kernel may have killed it because memory was short. Output without a pending job means
        that the child is compromised.
        """
        return not self._responses.poll(0)  # nor is the pipe closed

    def interrupt(self) -> None:
        """Kill it; a thread that waits for its response gets TransformCrashed."""
        # Its process group too: not every platform forbids starting programs (confinement.py).
        with suppress(ProcessLookupError, PermissionError):  # it has ended
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it and close its pipes."""
        self.interrupt()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):  # data that could not be written
                if pipe:
                    pipe.close()
        if self._memory:
            self._memory.close()
        folder_removal.remove(self._folder)

    def _write(self, message: Mapping[str, object]) -> None:
        assert self._process.stdin  # noqa: S101
        rest, pipe = json.dumps(message).encode() + b"\n", self._process.stdin.fileno()
        deadline = time.monotonic() + _WRITE_SECONDS
        try:
            while rest:
                with suppress(BlockingIOError):
                    rest = rest[os.write(pipe, rest) :]
                if rest and not _can_write(pipe, deadline):
                    raise TransformCrashed("its process does not read")
        except BrokenPipeError as error:
            raise TransformCrashed(self._cause()) from error

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101
        line, deadline = b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            self._await_output(deadline, seconds)
            data = os.read(self._process.stdout.fileno(), _PIPE_BYTES)
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

    def _await_output(self, deadline: float, seconds: float) -> None:
        """Wait until there is something to read of a response, and read the log meanwhile."""
        assert self._process.stdout  # noqa: S101
        log, poll = self._process.stderr, self._responses
        if log:
            poll = select.poll()
            poll.register(self._process.stdout, select.POLLIN)
            poll.register(log, select.POLLIN)
        while True:
            ready = [number for number, _ in poll.poll(max(0, deadline - time.monotonic()) * 1000)]
            if self._process.stdout.fileno() in ready:
                return
            if not ready or time.monotonic() > deadline:
                raise TransformCrashed(f"it took longer than {seconds} seconds")
            if log and not self._read_log():
                poll.unregister(log)  # it has closed it

    def _read_log(self) -> bool:
        """Read a part of what it has printed; return whether there may be more."""
        assert self._process.stderr  # noqa: S101
        try:
            data = os.read(self._process.stderr.fileno(), _PIPE_BYTES)
        except BlockingIOError:
            return True
        self._log.add(data)
        return bool(data)

    def _cause(self) -> str:
        """Return why its pipes are closed; a process that runs on without them is compromised."""
        try:
            status = self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return response.INVALID
        if status >= 0:
            return f"its process ended with status {status}"
        return f"its process was killed by signal {-status}"


def _shared_memory() -> JobMemory | None:
    """Return memory to share with a child, None where the system has none: files take its place."""
    try:
        return JobMemory()
    except OSError:
        return None


def _can_write(pipe: int, deadline: float) -> bool:
    """Wait until a pipe can be written, or its other end is closed."""
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    return bool(poll.poll(max(0, deadline - time.monotonic()) * 1000))
