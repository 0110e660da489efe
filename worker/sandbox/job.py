"""The program that supervises jobs with the policy `command`; started by job_pool.py or systemd.

`python -m worker.sandbox.job`, with a connection to the worker as standard input. It prepares the
transform once. Then, in a unit, it runs one job on that connection and ends; with `--serve` the
connection brings one of its own for each job, and a forked process supervises each.

The supervisor keeps all rights of its user, and does not read what the job writes before all
processes of the job have ended. It kills them when the transform has ended, exceeds a limit, or the
worker disconnects, as it does when it dies.
"""

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from worker.errors import Disconnected
from worker.sandbox import messages, process_tree
from worker.sandbox.application import Application, start_failure
from worker.sandbox.confinement import c_library
from worker.sandbox.job_confinement import common_rules
from worker.sandbox.seccomp import command_filter
from worker.sandbox.supervisor import Supervisor

_SERVE, _CHOSEN = "--serve", "--chosen"


def main() -> None:
    """Run jobs until the worker disconnects; in a unit a single one."""
    connection = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for stream in (sys.stdout, sys.stderr):  # of jobs, whose descriptors 1 and 2 are others
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    process_tree.adopt_orphans(c_library())
    with suppress(Disconnected):
        if _SERVE in sys.argv:
            _serve(connection)
        else:
            _run_one(connection)


class _Jobs:
    """What is prepared once for all jobs of a pipeline.

    Args:
        pipeline: What the worker says of the pipeline; see job_pool.py.
    """

    def __init__(self, pipeline: Mapping[str, Any]) -> None:
        self._pipeline = pipeline
        self._application = Application(pipeline["transform"], pipeline)
        resources = self._application.resources
        readable = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1]]
        readable += [*map(Path, pipeline["programs"]), *resources.files.values()]
        readable += [each for each in (resources.folder, resources.secrets) if each]
        self._rules = common_rules(readable, in_unit=pipeline["in_unit"])
        command_filter(os.uname().machine, network=pipeline["network"])

    def supervise(self, connection: socket.socket) -> None:
        Supervisor(connection, self._application, self._pipeline, self._rules).run()


def _prepare(connection: socket.socket, pipeline: dict[str, Any]) -> _Jobs:
    """Prepare jobs and tell the worker, also if that fails."""
    try:
        jobs = _Jobs(pipeline)
    except Exception as error:  # whatever a library raises
        messages.send(connection, {"failed": start_failure(pipeline["transform"], error)})
        raise Disconnected("the transform cannot start") from error
    messages.send(connection, {"ready": []})
    return jobs


def _run_one(connection: socket.socket) -> None:
    if _CHOSEN not in sys.argv:
        # The interpreter that has the pipeline's packages; the unit is the same for all pipelines.
        python = messages.receive(connection)[0]["python"]
        if python != sys.executable:
            os.dup2(connection.fileno(), 0)
            arguments = [python, "-P", "-s", "-m", "worker.sandbox.job", _CHOSEN]
            os.execv(python, arguments)  # noqa: S606
    pipeline, _ = messages.receive(connection)
    secrets = os.environ.get("CREDENTIALS_DIRECTORY")
    pipeline |= {"in_unit": True, "secrets": secrets}
    _prepare(connection, pipeline).supervise(connection)


def _serve(control: socket.socket) -> None:
    pipeline, _ = messages.receive(control)
    jobs = _prepare(control, pipeline)
    gc.freeze()  # forked processes copy fewer pages
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    supervisors: set[int] = set()
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(reader, select.POLLIN)
    is_connected = True
    while is_connected or supervisors:
        ready = [number for number, _ in poll.poll()]
        if reader in ready:
            os.read(reader, 1 << 16)
            _reap(supervisors)
        if control.fileno() in ready:
            try:
                _, (descriptor,) = messages.receive(control)
            except Disconnected:
                poll.unregister(control)
                is_connected = False
                continue
            connection = socket.socket(fileno=descriptor)
            if (pid := os.fork()) == 0:
                _supervise(control, connection, jobs)
            supervisors.add(pid)
            connection.close()
    process_tree.kill_descendants()


def _supervise(control: socket.socket, connection: socket.socket, jobs: _Jobs) -> None:
    """Supervise a job in a process of its own, which ends with it."""
    status = 1
    try:
        control.close()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        process_tree.adopt_orphans(c_library())
        jobs.supervise(connection)
        status = 0
    except Disconnected:
        pass
    finally:
        os._exit(status)


def _reap(supervisors: set[int]) -> None:
    """Reap supervisors that have ended, and kill what a killed one left."""
    with suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            supervisors.discard(pid)
    for pid in process_tree.children():
        if pid not in supervisors:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
