"""The program that supervises jobs with the policy `command`; started by launchers.py or systemd.

`python -m worker.sandbox.job`, with a connection to the worker as standard input. It prepares the
transform, then runs a job: the only one in a systemd unit, one after the other with `--repeat`.

The supervisor keeps all rights of its user, and does not read what a job writes before all
processes of the job have ended. It kills them when the transform has ended, exceeds a limit, or the
worker disconnects, as it does when it dies.
"""

import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from worker.errors import Disconnected
from worker.sandbox import messages, process_tree
from worker.sandbox.application import Application, start_failure
from worker.sandbox.confinement import c_library
from worker.sandbox.job_confinement import common_rules
from worker.sandbox.seccomp import command_filter
from worker.sandbox.supervisor import Supervisor
from worker.watchdog import Watchdog

_REPEAT, _CHOSEN = "--repeat", "--chosen"


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
        if _REPEAT in sys.argv:
            _guard(connection)
            supervisor = _prepared(connection, messages.receive(connection)[0])
            gc.freeze()  # the processes of jobs copy fewer pages
            while True:
                supervisor.run()
        pipeline = _pipeline_of_unit(connection)
        _report_to_systemd()  # a timer outlives execve(2), its handler does not
        supervisor = _prepared(connection, pipeline)
        supervisor.run()


def _guard(connection: socket.socket) -> None:
    """Go on in a new process; this one kills what is left when that has ended, or was killed."""
    if pid := os.fork():
        connection.close()
        os.waitpid(pid, 0)
        process_tree.kill_descendants()
        os._exit(0)
    process_tree.adopt_orphans(c_library())


def _report_to_systemd() -> None:
    """Tell systemd regularly that this process runs, until it does not: a job could stop it.

    systemd then kills the unit.
    """
    watchdog = Watchdog()
    if watchdog.seconds is None:
        return

    def notify(_number: int, _frame: FrameType | None) -> None:
        watchdog.ping()

    signal.signal(signal.SIGALRM, notify)
    signal.setitimer(signal.ITIMER_REAL, watchdog.seconds / 3, watchdog.seconds / 3)


def _pipeline_of_unit(connection: socket.socket) -> dict[str, Any]:
    """Return the pipeline as the worker sends it, with the secrets of the unit."""
    if _CHOSEN not in sys.argv:
        # The interpreter that has the pipeline's packages; the unit is the same for all pipelines.
        python = messages.receive(connection)[0]["python"]
        if python != sys.executable:
            os.dup2(connection.fileno(), 0)
            arguments = [python, "-P", "-s", "-m", "worker.sandbox.job", _CHOSEN]
            os.execv(python, arguments)  # noqa: S606
    pipeline, _ = messages.receive(connection)
    return {**pipeline, "in_unit": True, "secrets": os.environ.get("CREDENTIALS_DIRECTORY")}


def _prepared(connection: socket.socket, pipeline: dict[str, Any]) -> Supervisor:
    """Prepare what all jobs of a pipeline need, and notify the worker, also if that fails."""
    try:
        application = Application(pipeline["transform"], pipeline)
        resources = application.resources
        readable = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1]]
        readable += [*map(Path, pipeline["programs"]), *resources.files.values()]
        readable += [each for each in (resources.folder, resources.secrets) if each]
        rules = common_rules(readable, in_unit=pipeline["in_unit"])
        command_filter(os.uname().machine, network=pipeline["network"])
    except Exception as error:  # whatever a library raises
        messages.send(connection, {"failed": start_failure(pipeline["transform"], error)})
        raise Disconnected("the transform cannot start") from error
    messages.send(connection, {"ready": []})
    return Supervisor(connection, application, pipeline, rules)


if __name__ == "__main__":
    main()
