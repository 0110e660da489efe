"""The worker's own commands, run where it runs: the database admits only the machine."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any, Protocol

from rich.table import Table

from cli.errors import CommandError
from cli.machines.boot_steps import Step


class Host(Protocol):
    """A machine of the pipeline, however it is reached."""

    @property
    def name(self) -> str:
        """As its rows and heartbeats have it."""

    def worker(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run `python -m worker <arguments>` there; raises MachineUnreachable."""

    def steps(self) -> list[Step]:
        """What of its first boot fails or lasts; [] also where it does not tell."""

    def journal(self, lines: int, *, follow: bool) -> list[str]:
        """The command, for this machine, that prints what the pipeline's services said."""

    def login(self) -> list[str]:
        """The command, for this machine, that opens a shell there; raises CommandError."""

    def console(self) -> str:
        """What can be seen of it from outside, "" where nothing can."""


def first(hosts: Sequence[Host], up: str) -> Host:
    """The machine to ask; raises CommandError, naming the command that starts one."""
    if not hosts:
        raise CommandError(f"No machine of the pipeline is running: '{up}' starts one.")
    return hosts[0]


def ask(host: Host, command: Sequence[str]) -> Any:
    """The JSON answer of `python -m worker <command> --json`."""
    answer = host.worker([*command, "--json"])
    if answer.returncode != 0:
        lines = (answer.stderr or answer.stdout).strip().splitlines() or ["no answer"]
        raise CommandError(f"Machine {host.name} could not tell: {lines[-1]}")
    return json.loads(answer.stdout)


def status_table(answer: dict[str, Any]) -> Table:
    """`status` as people read it."""
    backlog = answer["backlog"]
    grid = Table(box=None, show_header=False, pad_edge=False)
    for machine in answer["machines"]:
        obstacle = machine["obstacle"] or "nothing in the way"
        grid.add_row(
            "machine", f"{machine['machine']}: last pass {machine['last_pass']}, {obstacle}"
        )
    # What answers has just asked both for what follows.
    grid.add_row("reachable", "database and object store, from the machine")
    oldest = f", oldest {backlog['oldest']}" if backlog["oldest"] else ""
    grid.add_row("backlog", f"{backlog['count']} objects, {backlog['bytes']} bytes{oldest}")
    grid.add_row("done", f"{answer['done']} ({answer['rate']:g} a minute)")
    grid.add_row("quarantined", str(answer["quarantined"]))
    grid.add_row("last error", answer["last_error"] or "none")
    return grid
