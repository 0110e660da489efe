"""The pool for the policy `command`: a job has processes of its own, and nothing outlives it.

job.py supervises each job: an instance of a systemd unit where $JOB_SOCKET names the socket that
starts one, else a process that this pool starts. Files travel as open descriptors, so that the
unit needs none of the worker's folders.
"""

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from worker import folder_removal
from worker.environment import Environment
from worker.errors import Disconnected, PassInterrupted, ServiceUnavailable, TransformCrashed
from worker.sandbox import messages, response
from worker.sandbox.input_names import input_paths
from worker.sandbox.launchers import Launcher, ProcessLauncher, UnitLauncher
from worker.sandbox.output_tail import shown
from worker.settings import Pipeline
from worker.transforms import Produced, find

#: What copying inputs and results may take beside the limit of the job's own time.
_TRANSFER_SECONDS = 600


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
        self._is_unit = bool(job_socket)
        python = str(environment.python)
        self._launcher: Launcher = (
            UnitLauncher(job_socket, python, message)
            if job_socket
            else ProcessLauncher(python, message)
        )
        self._places = threading.Semaphore(size)
        self._connections: set[socket.socket] = set()
        self._stopped = False
        self.unenforced: list[str] = []

    def run(
        self, sources: Sequence[Path], names: Sequence[str], content: bytes | None = None
    ) -> Produced:
        """See `TransformPool.run`."""
        if content is not None:
            sources[0].write_bytes(content)
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
        received = Path(tempfile.mkdtemp(dir=self._folder.resolve()))
        job = None
        if not self._is_unit:
            job = received / "job"
            job.mkdir()
        connection, outcome = None, None
        try:
            connection = self._launcher.take()
            self._connections.add(connection)
            if self._stopped:
                raise PassInterrupted
            _send_inputs(connection, job, sources, names)
            self._launcher.prepare()
            results = received / "results"
            results.mkdir()
            outcome = self._receive(connection, results)
            return self._produced(outcome, results, sources[0])
        except Disconnected as error:
            raise TransformCrashed(str(error)) from error
        finally:
            if connection:
                self._connections.discard(connection)
                self._launcher.put_back(connection, is_usable=outcome is not None)
            folder_removal.remove(received)

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
                    messages.put(descriptor, f"{folder}/{response.plain_name(name)}")
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
            raise failure.error(log)
        return replace(response.collect(found, folder, source), log=log)

    def stop(self) -> None:
        """See `TransformPool.stop`; supervisors kill jobs when they are disconnected."""
        self._stopped = True
        for connection in list(self._connections):
            with suppress(OSError):  # it has ended
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See `TransformPool.close`."""
        self._launcher.close()


def _message(pipeline: Pipeline, environment: Environment, folder: Path) -> dict[str, object]:
    """Return what supervisors need to know of a pipeline."""
    limits = pipeline.limits
    parameters = json.loads(pipeline.parameters)
    find(pipeline.transform, environment.folder).read(parameters)
    return {
        "transform": pipeline.transform,
        "parameters": parameters,
        "max_pixels": limits.pixels,
        "limits": {
            "memory_mb": limits.memory_mb,
            "cpu_seconds": limits.cpu_seconds,
            "seconds": limits.seconds,
        },
        **environment.as_json(),
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
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  the users of units have none, and stay "~"
    for folder in map(Path, filter(os.path.isabs, path.split(os.pathsep))):
        above = folder.parent
        is_private = above in (home, *home.parents, *private.parents)
        is_private |= above.name == ".local"
        found.append(folder if is_private or folder.name != "bin" else above)
    return [str(folder) for folder in found]


def _send_inputs(
    connection: socket.socket, folder: Path | None, sources: Sequence[Path], names: Sequence[str]
) -> None:
    """Send a job: its folder, None if it has a disk of its own, and its inputs."""
    messages.send(connection, {"folder": folder and str(folder), "count": len(names)})
    remaining, left = iter(sources), iter(names)  # names of all could exceed a message
    for batch in messages.batches(input_paths(names)):
        opened = []
        try:
            for source in islice(remaining, len(batch)):
                opened.append(os.open(source, os.O_RDONLY | os.O_CLOEXEC))
            named = list(islice(left, len(batch)))
            messages.send(connection, {"paths": batch, "names": named}, opened)
        finally:
            messages.close(opened)
