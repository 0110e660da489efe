"""The pool for the policy `command`: a job has processes of its own, and nothing outlives it.

job.py supervises each job: an instance of a systemd unit where $JOB_SOCKET names the socket that
starts one, else a process that this pool starts. Files travel as open descriptors, so that the
unit needs none of the worker's folders.
"""

import json
import os
import queue
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from worker.environment import Environment
from worker.errors import (
    Disconnected,
    InvalidInput,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.sandbox import messages, response
from worker.sandbox.input_names import input_paths
from worker.sandbox.output_tail import shown
from worker.settings import Pipeline
from worker.transforms import Produced, find

_START_SECONDS = 60
_EXIT_SECONDS = 10
#: What copying inputs and results may take beside the limit of the job's own time.
_TRANSFER_SECONDS = 600


class _Supervisors(Protocol):
    """Starts supervisors of jobs."""

    def take(self) -> socket.socket:
        """Return the connection to a supervisor that waits for its job.

        Raises:
            ServiceUnavailable: None can be started.
        """

    def prepare(self) -> None:
        """Start one for the next job, if that takes long."""

    def put_back(self, connection: socket.socket, *, is_usable: bool) -> None:
        """Take a connection back; one that is not usable is closed, which ends its job."""

    def close(self) -> None:
        """End what waits for jobs."""


class JobPool:
    """Implements `TransformPool` for commands, and for functions that may use as much.

    Args:
        pipeline: Its settings.
        environment: What is prepared for it.
        folder: Where jobs have their folders, unless they have a unit.
        size: How many jobs run side by side.
        job_socket: The socket that starts a unit for each connection; None where there is none.

    Raises:
        InvalidSettings: There is no such transform, or the parameters are not its own.
        ServiceUnavailable: This is not Linux.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        environment: Environment,
        folder: Path,
        size: int,
        job_socket: str | None,
    ) -> None:
        if not Path("/proc/self/task").exists():
            raise ServiceUnavailable(
                f"The pipeline {pipeline.name} starts programs, which needs a machine with Linux."
            )
        message = _message(pipeline, environment, folder)
        self._limits, self._folder = pipeline.limits, folder
        self._is_unit = job_socket is not None
        python = str(environment.python)
        self._supervisors: _Supervisors = (
            _Units(job_socket, python, message) if job_socket else _Processes(python, message)
        )
        self._places = threading.Semaphore(size)
        self._connections: set[socket.socket] = set()
        self._stopped = False
        self.unenforced: list[str] = []

    def run(self, sources: Sequence[Path], names: Sequence[str]) -> Produced:
        """See `TransformPool.run`."""
        with self._places:
            if self._stopped:
                raise PassInterrupted
            try:
                return self._run(sources, names)
            except (TransformCrashed, ServiceUnavailable):
                if self._stopped:
                    raise PassInterrupted from None
                raise

    def _run(self, sources: Sequence[Path], names: Sequence[str]) -> Produced:
        received = Path(tempfile.mkdtemp(dir=self._folder.absolute()))
        job = None
        if not self._is_unit:
            job = received / "job"
            job.mkdir()
        connection, outcome = None, None
        try:
            connection = self._supervisors.take()
            self._connections.add(connection)
            if self._stopped:
                raise PassInterrupted
            _send_inputs(connection, job, sources, names)
            self._supervisors.prepare()
            results = received / "results"
            results.mkdir()
            outcome = self._receive(connection, results)
            return self._produced(outcome, results, sources[0])
        except Disconnected as error:
            raise TransformCrashed(str(error)) from error
        finally:
            if connection:
                self._connections.discard(connection)
                self._supervisors.put_back(connection, is_usable=outcome is not None)
            shutil.rmtree(received, ignore_errors=True)

    def _receive(self, connection: socket.socket, folder: Path) -> dict[str, Any]:
        """Put the results into a folder, and return the last message."""
        count, seconds = 0, self._limits.seconds + _TRANSFER_SECONDS
        deadline = time.monotonic() + seconds
        while True:
            try:
                left = max(0.001, deadline - time.monotonic())
                message, descriptors = messages.receive(connection, left)
            except TimeoutError as error:
                raise TransformCrashed(f"it took longer than {seconds} seconds") from error
            try:
                if "files" not in message:
                    return dict(message)
                count += len(descriptors)
                if not descriptors or count > response.MAX_FILES + 1:
                    raise TransformCrashed(response.INVALID)
                for name, descriptor in zip(message["files"], descriptors, strict=True):
                    messages.put(descriptor, f"{folder}/{_plain(name)}")
            except (ValueError, TypeError) as error:
                raise TransformCrashed(response.INVALID) from error
            finally:
                messages.close(descriptors)

    def _produced(self, outcome: dict[str, Any], folder: Path, source: Path) -> Produced:
        log = shown(str(outcome.get("log", "")).encode(errors="replace"))
        if "crashed" in outcome:
            raise TransformCrashed(response.printable(outcome["crashed"]), log)
        found, unenforced = outcome.get("response"), outcome.get("unenforced", [])
        if not isinstance(found, dict) or not isinstance(unenforced, list):
            raise TransformCrashed(response.INVALID)
        self.unenforced = list(map(response.printable, unenforced)) or self.unenforced
        if failure := response.failure(found):
            if failure.kind in ("environment", "deferred"):
                raise UploadDeferred(failure.reason)
            raise InvalidInput(failure.reason, log)
        return replace(response.collect(found, folder, source), log=log)

    def stop(self) -> None:
        """See `TransformPool.stop`; supervisors kill jobs when they are disconnected."""
        self._stopped = True
        for connection in list(self._connections):
            with suppress(OSError):  # it has ended
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See `TransformPool.close`."""
        self._supervisors.close()


class _Units:
    """Starts units by connecting to their socket; one waits, so that a job need not."""

    def __init__(self, path: str, python: str, message: dict[str, object]) -> None:
        self._path, self._python, self._message = path, python, message
        self._waiting: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()

    def take(self) -> socket.socket:
        with suppress(queue.Empty):
            while True:
                with suppress(ServiceUnavailable):  # it has ended meanwhile
                    return _ready(self._waiting.get_nowait())
        return _ready(self._connect())

    def prepare(self) -> None:
        with suppress(ServiceUnavailable):  # the next job says so
            self._waiting.put(self._connect())

    def put_back(self, connection: socket.socket, *, is_usable: bool) -> None:
        del is_usable  # a unit has one job
        connection.close()

    def close(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._waiting.get_nowait().close()

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self._path)
            messages.send(connection, {"python": self._python})
            messages.send(connection, self._message)
        except (OSError, Disconnected) as error:
            connection.close()
            reason = getattr(error, "strerror", None) or error
            raise ServiceUnavailable(
                f"Jobs cannot be started at {self._path}: {reason}."
            ) from error
        return connection


class _Processes:
    """Starts processes that supervise one job after the other."""

    def __init__(self, python: str, message: dict[str, object]) -> None:
        self._command = [python, "-P", "-s", "-m", "worker.sandbox.job", "--repeat"]
        self._message = message
        self._idle: queue.LifoQueue[socket.socket] = queue.LifoQueue()
        self._processes: dict[socket.socket, subprocess.Popen[bytes]] = {}

    def take(self) -> socket.socket:
        with suppress(queue.Empty):
            while True:
                connection = self._idle.get_nowait()
                if not select.select([connection], [], [], 0)[0]:
                    return connection
                self._end(connection)  # it was killed
        return self._started()

    def prepare(self) -> None:
        """Do nothing: a process that has had a job takes another one."""

    def put_back(self, connection: socket.socket, *, is_usable: bool) -> None:
        if is_usable:
            self._idle.put(connection)
        else:
            self._end(connection)

    def close(self) -> None:
        for connection in list(self._processes):
            self._end(connection)

    def _started(self) -> socket.socket:
        own, others = socket.socketpair()
        try:
            self._processes[own] = subprocess.Popen(
                self._command,
                stdin=others.fileno(),
                stdout=subprocess.DEVNULL,
                env={"PYTHONPATH": str(_SOURCE), "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        except OSError as error:
            own.close()
            raise ServiceUnavailable(
                f"A process for jobs cannot be started: {error.strerror}."
            ) from error
        finally:
            others.close()
        try:
            messages.send(own, self._message)
            return _ready(own)
        except (Disconnected, ServiceUnavailable):
            self._end(own)
            raise

    def _end(self, connection: socket.socket) -> None:
        """Disconnect a process, which then kills its job, and wait until it has ended."""
        connection.close()
        process = self._processes.pop(connection)
        try:
            process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_SOURCE = Path(__file__).resolve().parents[2]


def _message(pipeline: Pipeline, environment: Environment, folder: Path) -> dict[str, object]:
    """Return what supervisors need to know of a pipeline."""
    limits = pipeline.limits
    definition = find(pipeline.transform, environment.folder)
    parameters = json.loads(pipeline.parameters)
    definition.read(parameters)
    return {
        "transform": pipeline.transform,
        "parameters": parameters,
        "max_pixels": limits.pixels,
        "limits": {
            "memory_mb": limits.memory_mb,
            "cpu_seconds": limits.cpu_seconds,
            "seconds": limits.seconds,
        },
        "folder": environment.folder and str(environment.folder),
        "files": {name: str(path) for name, path in environment.files.items()},
        "secrets": environment.secrets and str(environment.secrets),
        "path": environment.path,
        "programs": _program_folders(environment.path, folder.resolve()),
        "network": pipeline.network,
        "in_unit": False,
    }


def _program_folders(path: str, private: Path) -> list[str]:
    """Return the folders of a search path, and those that hold what their programs need.

    /opt/jdk/bin needs /opt/jdk/lib. A folder above that holds a user's or the worker's own files
    is left out.

    Args:
        path: Folders, separated by ":".
        private: The folder of the worker's jobs, whose credentials are below the same.
    """
    found = []
    for folder in map(Path, filter(os.path.isabs, path.split(os.pathsep))):
        above = folder.parent
        is_private = above in (Path.home(), *Path.home().parents, *private.parents)
        is_private |= above.name == ".local"
        found.append(folder if is_private or folder.name != "bin" else above)
    return [str(folder) for folder in found]


def _ready(connection: socket.socket) -> socket.socket:
    """Return a connection once its process has loaded the transform."""
    try:
        message, _ = messages.receive(connection, _START_SECONDS)
    except (Disconnected, TimeoutError) as error:
        connection.close()
        raise ServiceUnavailable(
            f"A process for jobs did not start ({error}): the machine's journal says why."
        ) from error
    if "ready" not in message:
        connection.close()
        raise ServiceUnavailable(response.printable(message.get("failed", response.INVALID)))
    return connection


def _send_inputs(
    connection: socket.socket, folder: Path | None, sources: Sequence[Path], names: Sequence[str]
) -> None:
    """Send a job: its folder, None if it has a disk of its own, and its inputs."""
    messages.send(connection, {"folder": folder and str(folder), "names": list(names)})
    at = 0
    for batch in messages.batches(input_paths(names)):
        opened = []
        try:
            for source in sources[at : at + len(batch)]:
                opened.append(os.open(source, os.O_RDONLY | os.O_CLOEXEC))
            messages.send(connection, {"paths": batch}, opened)
        finally:
            messages.close(opened)
        at += len(batch)


def _plain(name: object) -> str:
    if not isinstance(name, str) or name != os.path.basename(name) or name in ("", ".", ".."):  # noqa: PTH119
        raise ValueError(name)
    return name
