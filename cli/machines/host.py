"""A machine that runs the worker, as commands reach it: the database admits only the machine."""

import json
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from cli.errors import CommandError
from cli.machines.boot import Step
from cli.stacks.target import command_line

if TYPE_CHECKING:
    from cli.stacks.target import Target


class Host(Protocol):
    """Access to a machine. Implementations: ProcessHost, GuestHost and SshHost."""

    @property
    def name(self) -> str:
        """The machine's name in the database's rows and heartbeats."""

    def worker(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run `python -m worker <arguments>` on the machine.

        Raises:
            MachineUnreachable: It cannot be logged in to.
            MachineNotReady: The worker is not installed yet.
        """

    def steps(self) -> list[Step]:
        """Return the steps of its boot that failed or run; [] also if it cannot be reached."""

    def journal(self, lines: int, *, follow: bool) -> list[str]:
        """Return a command for this computer that prints the log of the machine's services."""

    def login(self) -> list[str]:
        """Return a command for this computer that opens a shell on the machine.

        Raises:
            CommandError: There is nothing to log in to.
        """

    def console(self) -> str:
        """Return the console's last lines, "" where there is no console."""

    def cloud_status(self) -> str:
        """Return the machine's status at its cloud (SHUTOFF, ERROR …), "" if active or unknown."""


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
    """Run `python -m worker <command> --json` on the machine and return its answer.

    Raises:
        CommandError: The command failed.
    """
    answer = host.worker([*command, "--json"])
    if answer.returncode != 0:
        lines = (answer.stderr or answer.stdout).strip().splitlines() or ["no output"]
        raise CommandError(f"`worker {command[0]}` failed on machine {host.name}: {lines[-1]}")
    if command[0] == "log":  # JSON Lines
        return [json.loads(line) for line in answer.stdout.split("\n") if line]
    return json.loads(answer.stdout)
