"""Supervision of a job with the policy `command`, from its inputs to its results."""

import errno
import json
import os
import resource
import select
import signal
import socket
import stat
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from worker.errors import Disconnected
from worker.sandbox import messages, process_tree, response
from worker.sandbox.application import Application, flush_output, start_failure
from worker.sandbox.job_confinement import confine_job
from worker.sandbox.job_paths import without_folder
from worker.sandbox.landlock import Rule
from worker.sandbox.output_tail import OutputTail
from worker.transforms import RECORDS

_MAX_ANSWER_BYTES = 1 << 21
_PIPE_BYTES = 1 << 16
#: Seconds between two looks at what a job uses: often at first, when memory grows fastest.
_FIRST_LOOK, _LAST_LOOK, _SLOWER = 0.02, 0.25, 1.5
_MAX_PROCESSES = 512
_LITTLE_SPACE = 16 << 20


class Supervisor:
    """Runs jobs one after the other.

    It makes a job's folders, starts its process, ends all its processes, and returns the results.

    Args:
        connection: To the worker.
        application: The transform.
        pipeline: The pipeline as the worker sends it; see job_pool.py.
        rules: The files that all its jobs can read; see `common_rules`.
    """

    def __init__(
        self,
        connection: socket.socket,
        application: Application,
        pipeline: Mapping[str, Any],
        rules: Sequence[Rule],
    ) -> None:
        self._connection, self._application = connection, application
        self._pipeline, self._rules = pipeline, rules
        self._limits: Mapping[str, int] = pipeline["limits"]
        self._log, self._answer = OutputTail(), b""
        self._cpu_before = 0.0  # of earlier jobs

    def run(self) -> None:
        """Run the next job that the worker sends.

        Raises:
            Disconnected: The worker has ended, or gave the job up.
        """  # noqa: DOC502
        job, _ = messages.receive(self._connection)
        self._answer, self._cpu_before = b"", _cpu_of_ended()
        folder, problem = _make_folders(job["folder"])
        paths, names, problem = self._receive_inputs(folder, job["count"], problem)
        if problem:
            reason = f"{problem.strerror} in {folder}"
            self._report(folder, {"response": {"environment": reason}})
            return
        try:
            self._run(folder, paths, names)
        finally:
            process_tree.kill_descendants()

    def _run(self, folder: str, paths: Sequence[str], names: Sequence[str]) -> None:
        (output, output_end), (answer, answer_end) = os.pipe(), os.pipe()
        begun, parent = time.monotonic(), os.getpid()
        pid = os.fork()
        if pid == 0:
            os.dup2(output_end, 1)
            os.dup2(output_end, 2)
            for descriptor in (output, output_end, answer, self._connection.detach()):
                os.close(descriptor)
            self._run_forked(parent, folder, paths, names, answer_end)
        for descriptor in (output_end, answer_end):
            os.close(descriptor)
        for descriptor in (output, answer):
            os.set_blocking(descriptor, False)
        excess = self._watch(pid, output, answer)
        if excess:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        process_tree.kill_descendants()
        for descriptor in (output, answer):
            while self._read(descriptor, output):  # what ended processes have left in the pipe
                pass
            os.close(descriptor)
        if excess:
            self._log.add_line(f"killed after {time.monotonic() - begun:.1f} s: {excess}")
        self._report(folder, self._outcome(folder, excess, os.waitstatus_to_exitcode(status)))

    def _receive_inputs(
        self, folder: str, count: int, problem: OSError | None
    ) -> tuple[list[str], list[str], OSError | None]:
        """Return where inputs are, their names, and what went wrong, once all are read."""
        paths: list[str] = []
        names: list[str] = []
        while len(paths) < count:
            message, descriptors = messages.receive(self._connection)
            paths += message["paths"]
            names += message["names"]
            try:
                if not problem:
                    _place(f"{folder}/in", message["paths"], descriptors)
            except OSError as error:
                problem = error
            finally:
                messages.close(descriptors)
        return paths, names, problem

    def _run_forked(
        self, parent: int, folder: str, paths: Sequence[str], names: Sequence[str], answer_end: int
    ) -> NoReturn:
        """Apply the transform in the forked process, once it is confined."""
        try:
            os.setsid()
            os.chdir(f"{folder}/work")
            self._set_environment(f"{folder}/work")
            result = self._apply(parent, folder, paths, names)
            flush_output()
            data = json.dumps(result).encode()
            while data:
                data = data[os.write(answer_end, data) :]
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(1)

    def _apply(
        self, parent: int, folder: str, paths: Sequence[str], names: Sequence[str]
    ) -> dict[str, object]:
        pipeline = self._pipeline
        unenforced = confine_job(
            parent,
            self._limits["cpu_seconds"],
            self._rules,
            folder,
            network=pipeline["network"],
            in_unit=pipeline["in_unit"],
        )
        found: dict[str, object]
        try:
            self._application.start()
        except Exception as error:  # noqa: BLE001  whatever a library raises
            found = {"environment": start_failure(pipeline["transform"], error)}
        else:
            found = self._application.apply(Path(folder, "in"), paths, names, Path(folder, "out"))
        return {"unenforced": unenforced, "response": found}

    def _set_environment(self, scratch: str) -> None:
        """Replace the environment, which is the worker's or the unit's."""
        os.environ.clear()
        os.environ["PATH"] = self._pipeline["path"]
        os.environ["LC_ALL"] = "C.UTF-8"
        os.environ |= dict.fromkeys(("HOME", "TMPDIR"), scratch)
        tempfile.tempdir = scratch
        if secrets := self._application.resources.secrets:
            os.environ["CREDENTIALS_DIRECTORY"] = str(secrets)

    def _watch(self, pid: int, output: int, answer: int) -> str:
        """Wait until the job's process has ended, or return which limit it exceeds."""
        ended = os.pidfd_open(pid)
        poll = select.poll()
        for descriptor in (ended, output, answer, self._connection.fileno()):
            poll.register(descriptor, select.POLLIN)
        now = time.monotonic()
        deadline, look, interval = now + self._limits["seconds"], now + _FIRST_LOOK, _FIRST_LOOK
        try:
            while True:
                ready = dict(poll.poll(max(0, min(deadline, look) - time.monotonic()) * 1000))
                if self._connection.fileno() in ready:
                    raise Disconnected("the worker has ended")
                if ended in ready:
                    return ""
                for descriptor in (output, answer):
                    if descriptor in ready and not self._read(descriptor, output):
                        poll.unregister(descriptor)
                now = time.monotonic()
                if now >= deadline:
                    return f"it took longer than {self._limits['seconds']} seconds"
                if now >= look:
                    if excess := self._excess(pid):
                        return excess
                    interval = min(interval * _SLOWER, _LAST_LOOK)
                    look = time.monotonic() + interval
        finally:
            os.close(ended)

    def _excess(self, pid: int) -> str:
        """Return which limit all processes of the job exceed together."""
        _reap_orphans(pid)
        pids = process_tree.descendants()
        used = process_tree.measure(pids)
        if used.cpu + _cpu_of_ended() - self._cpu_before > self._limits["cpu_seconds"]:
            return f"it used more than {self._limits['cpu_seconds']} seconds of CPU time"
        if len(pids) > _MAX_PROCESSES:
            return f"it has more than {_MAX_PROCESSES} processes"
        limit = self._limits["memory_mb"]
        if used.memory >> 20 > limit and process_tree.proportional_memory(pids) >> 20 > limit:
            return f"it needs more memory than {limit} MB, limits.memory_mb"
        return ""

    def _read(self, descriptor: int, output: int) -> bool:
        """Read a part of the output or of the answer; return whether there may be more."""
        try:
            data = os.read(descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return False
        if descriptor == output:
            self._log.add(data)
        elif len(self._answer) <= _MAX_ANSWER_BYTES:
            self._answer += data
        return bool(data)

    def _outcome(self, folder: str, excess: str, status: int) -> dict[str, Any]:
        """Return how the job ended: a response, or `crashed` with a reason."""
        if excess:
            return {"response": {"invalid": excess}}
        if status < 0:
            return {"crashed": f"its process was killed by signal {-status}"}
        if status > 0:
            return {"crashed": f"its process ended with status {status}"}
        try:
            outcome = json.loads(self._answer)
            found, unenforced = dict(outcome["response"]), list(outcome["unenforced"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return {"crashed": response.INVALID}
        space = os.statvfs(folder)
        if "invalid" in found and space.f_bavail * space.f_frsize < _LITTLE_SPACE:
            found = {"environment": f"{os.strerror(errno.ENOSPC)} in {folder}"}
        return {"response": found, "unenforced": unenforced}

    def _report(self, folder: str, outcome: dict[str, Any]) -> None:
        """Send the results, and how the job ended."""
        found = outcome.get("response", {})
        try:
            names = [name for name, _ in found.get("files", ())]
            names += [RECORDS] if found.get("records") else []
            for batch in messages.batches(names):
                self._send_files(f"{folder}/out", batch)
        except (OSError, ValueError, TypeError):
            outcome = {"crashed": response.INVALID}
        log = without_folder(self._log.take(), Path(folder))
        messages.send(self._connection, {**outcome, "log": log})

    def _send_files(self, folder: str, names: Sequence[str]) -> None:
        opened: list[int] = []
        try:
            for name in names:
                opened.append(_open_regular(folder, name))
            messages.send(self._connection, {"files": names}, opened)
        finally:
            messages.close(opened)


def _make_folders(folder: str | None) -> tuple[str, OSError | None]:
    """Make what a job needs in its folder; without one, in /tmp, which a unit has for itself."""
    try:
        folder = folder or tempfile.mkdtemp()
        for name in ("in", "out", "work"):
            os.mkdir(f"{folder}/{name}")  # noqa: PTH102  pathlib takes longer, here and below
    except OSError as error:
        return folder or tempfile.gettempdir(), error
    return folder, None


def _place(folder: str, paths: Sequence[str], descriptors: Sequence[int]) -> None:
    for path, descriptor in zip(paths, descriptors, strict=True):
        if "/" in path:
            os.makedirs(f"{folder}/{os.path.dirname(path)}", exist_ok=True)  # noqa: PTH103, PTH120
        messages.put(descriptor, f"{folder}/{path}")


def _open_regular(folder: str, name: str) -> int:
    """Open a result, which may be anything that the job could make.

    Returns:
        The descriptor.

    Raises:
        OSError: It is not there, or not a file.
        ValueError: It could be in another folder.
    """  # noqa: DOC502  raised by plain_name
    path = f"{folder}/{response.plain_name(name)}"
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    mode = os.lstat(path).st_mode
    if stat.S_ISREG(mode) and not mode & stat.S_IRUSR:  # nothing of the job can replace it now
        os.chmod(path, stat.S_IRUSR)  # noqa: PTH101
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, name)
    return descriptor


def _cpu_of_ended() -> float:
    """Return the CPU seconds of all descendants that have been reaped."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reap_orphans(pid: int) -> None:
    """Reap ended processes that this one has adopted, as long as the job's own runs."""
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == pid:
                return
            os.waitpid(ended.si_pid, 0)
