"""What starting a job of a command costs, beside fork and exec of the same program.

`./pipeline bench command`; with `--machine container` in a systemd unit for each job.
"""

import json
import time
from pathlib import Path
from statistics import median
from typing import cast

import yaml

from bench import job_start
from bench.benchmark import Result, Setup
from bench.job_start import FORK, JOB, Turns
from bench.table import Table
from cli.machines import machine_kind
from cli.paths import LocalPaths
from cli.stacks.local_stack import LocalStack
from local.cloud import LocalCloud
from local.machine.kinds import PROCESS
from local.machine.nspawn.machine import NspawnMachine

TITLE = "Jobs of commands"
TEXT = """A job of the transform `command` that runs `true`, against fork and exec of it: turn by
turn, one job after the other, the median of the turns. CPU time is that of all processes, the
worker's part of a job included; what prepares a pass is left out. A booted machine has a unit for
each job, whose CPU time is not measured; the next one is started with a job, and the jobs wait for
that unless they are said to come right after another."""

_PIPELINE = "jobs"
_PATIENCE_SECONDS = 600
_INSTALLED = (
    "[ $(systemctl show -P Result pipeline-postinstall) = success ] && "
    "[ $(systemctl show -P ExecMainExitTimestampMonotonic pipeline-postinstall) -gt 0 ]"
)


def measure(setup: Setup) -> Result:
    """Alternate jobs, and the program by itself."""
    turns, count = (2, 10) if setup.quick else (9, 50)
    measured = {PROCESS: job_start.measure(setup.folder, turns, count, None)}
    if setup.machine != PROCESS:
        measured[setup.machine] = _on_machine(setup, turns, count)
    lines: list[list[str]] = []
    figures: dict[str, float] = {}
    for machine, found in measured.items():
        for name, pairs in found.items():
            cells = [_median(each) for each in zip(*pairs, strict=True)]
            lines.append([f"{name}, {machine} machine", *cells])
        turn_by_turn = zip(found[JOB], found[FORK], strict=True)
        more = [[1000 * (job[i] - fork[i]) for i in (0, 1)] for job, fork in turn_by_turn]
        cpu, seconds = (median(each) for each in zip(*more, strict=True))
        figures |= {f"{machine}: CPU ms more": cpu, f"{machine}: ms more": seconds}
    note = ", ".join(f"{name} {value:.1f}" for name, value in figures.items())
    table = Table("", ["", "CPU ms", "wall-clock ms"], lines)
    return Result([table], figures, notes=[f"A job against fork and exec: {note}."])


def _median(seconds: tuple[float, ...]) -> str:
    return f"{1000 * median(seconds):.1f}"


def _on_machine(setup: Setup, turns: int, count: int) -> Turns:
    """Deploy a stack whose pipeline runs `true`, and measure on its machine."""
    paths = LocalPaths(setup.folder / "local")
    stack = LocalStack(paths)
    paths.own_pipelines.parent.mkdir(parents=True)
    pipeline = {"transform": "command", "parameters": {"argv": ["true"]}}
    paths.own_pipelines.write_text(yaml.safe_dump({_PIPELINE: pipeline}))
    try:
        machine_kind.choose(stack, setup.machine, "bookworm")
        stack.open().up()
        (machine,) = LocalCloud(paths.cloud).machines()
        assert isinstance(machine, NspawnMachine)  # noqa: S101
        job_socket = f"/run/pipeline-job-{_PIPELINE}.socket"
        machine.run_command(["systemctl", "stop", f"pipeline-worker@{_PIPELINE}.timer"])
        _await(machine, ["systemctl", "is-active", f"pipeline-job-{_PIPELINE}.socket"])
        _await(machine, ["sh", "-c", _INSTALLED])  # until then Python's modules are not compiled
        script = Path(job_start.__file__).read_text()
        command = ["env", "PYTHONPATH=/opt/pipeline/source", "/opt/pipeline/venv/bin/python", "-c"]
        arguments = ["/run/bench-jobs", str(turns), str(count), job_socket]
        machine.run_command(["mkdir", arguments[0]])
        done = machine.run_command([*command, script, *arguments])
        if done.returncode:
            raise RuntimeError(done.stderr)
        return cast("Turns", json.loads(done.stdout))
    finally:
        stack.destroy(data=True)


def _await(machine: NspawnMachine, command: list[str]) -> None:
    """Wait until a command succeeds on the machine."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while machine.run_command(command).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(command)
        time.sleep(1)
