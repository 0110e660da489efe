"""How the supervisors of jobs with the policy `command` are started: as units, or as processes."""

import queue
import select
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from worker.errors import Disconnected, ServiceUnavailable
from worker.sandbox import messages, response

_START_SECONDS = 60
_EXIT_SECONDS = 10
_SOURCE = Path(__file__).resolve().parents[2]


class Launcher(Protocol):
    """Starts supervisors of jobs (job.py); used by several threads."""

    def take(self) -> socket.socket:
        """Return the connection to a supervisor that waits for its job.

        Raises:
            ServiceUnavailable: None can be started.
        """

    def prepare(self) -> None:
        """Start the next job's supervisor in advance, where starting one takes long."""

    def put_back(self, connection: socket.socket, *, is_usable: bool) -> None:
        """Take a connection back; one that is not usable is closed, which ends its job."""

    def close(self) -> None:
        """End the supervisors that have no job."""


class UnitLauncher:
    """Starts units of systemd by connecting to their socket, one ahead of its job.

    Args:
        path: The socket.
        python: The interpreter that has the pipeline's packages.
        message: What a supervisor needs to know of the pipeline.
    """

    def __init__(self, path: str, python: str, message: dict[str, object]) -> None:
        self._path, self._python, self._message = path, python, message
        self._waiting: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()

    def take(self) -> socket.socket:
        """See `Launcher.take`."""
        with suppress(queue.Empty):
            while True:
                with suppress(ServiceUnavailable):  # it has ended meanwhile
                    return _when_ready(self._waiting.get_nowait())
        return _when_ready(self._connect())

    def prepare(self) -> None:
        """See `Launcher.prepare`."""
        with suppress(ServiceUnavailable):  # the next job reports it
            self._waiting.put(self._connect())

    def put_back(self, connection: socket.socket, *, is_usable: bool) -> None:
        """See `Launcher.put_back`."""
        del is_usable  # a unit has one job
        connection.close()

    def close(self) -> None:
        """See `Launcher.close`."""
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


class ProcessLauncher:
    """Starts processes that supervise one job after the other.

    Args:
        python: The interpreter that has the pipeline's packages.
        message: What a supervisor needs to know of the pipeline.
    """

    def __init__(self, python: str, message: dict[str, object]) -> None:
        self._command = [python, "-P", "-s", "-m", "worker.sandbox.job", "--repeat"]
        self._message = message
        self._idle: queue.LifoQueue[socket.socket] = queue.LifoQueue()
        self._processes: dict[socket.socket, subprocess.Popen[bytes]] = {}

    def take(self) -> socket.socket:
        """See `Launcher.take`."""
        with suppress(queue.Empty):
            while True:
                connection = self._idle.get_nowait()
                if not select.select([connection], [], [], 0)[0]:
                    return connection
                self._end(connection)  # it was killed
        return self._started()

    def prepare(self) -> None:
        """See `Launcher.prepare`: a process that has had a job takes another one."""

    def put_back(self, connection: socket.socket, *, is_usable: bool) -> None:
        """See `Launcher.put_back`."""
        if is_usable:
            self._idle.put(connection)
        else:
            self._end(connection)

    def close(self) -> None:
        """See `Launcher.close`."""
        for connection in list(self._processes):
            self._end(connection)

    def _started(self) -> socket.socket:
        own, remote = socket.socketpair()
        try:
            self._processes[own] = subprocess.Popen(
                self._command,
                stdin=remote.fileno(),
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
            remote.close()
        try:
            messages.send(own, self._message)
            return _when_ready(own)
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


def _when_ready(connection: socket.socket) -> socket.socket:
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
