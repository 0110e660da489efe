"""The worker's own commands, run where it runs: the database admits only the machine."""

import json
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from cli.errors import CommandError
from cli.machines.boot_steps import Step
from cli.stacks.target import command_line

if TYPE_CHECKING:
    from cli.stacks.target import Target


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


def first(target: "Target") -> Host:
    """Return the machine of a stack that commands are run on.

    Raises:
        CommandError: Nothing is deployed, or no machine runs.
    """
    hosts = target.hosts()
    if not hosts:
        up = command_line("up", target.name)
        raise CommandError(f"No machine of the pipeline is running: '{up}' starts one.")
    return hosts[0]


def ask(host: Host, command: Sequence[str]) -> Any:
    """The JSON answer of `python -m worker <command> --json`."""
    answer = host.worker([*command, "--json"])
    if answer.returncode != 0:
        lines = (answer.stderr or answer.stdout).strip().splitlines() or ["no answer"]
        raise CommandError(f"Machine {host.name} could not tell: {lines[-1]}")
    return json.loads(answer.stdout)
