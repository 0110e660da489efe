"""A machine of the local cloud: its files are here, so nothing has to be logged in to."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from cli.errors import CommandError
from cli.machines.boot_steps import Step
from local.machine.machine import Machine


@dataclass(frozen=True)
class LocalHost:
    """A `process` machine."""

    machine: Machine

    @property
    def name(self) -> str:
        """As its rows and heartbeats have it."""
        return self.machine.name

    def worker(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run the worker's command with the machine's settings."""
        return self.machine.run(arguments)

    def steps(self) -> list[Step]:
        """Nothing is installed on it."""
        return []

    def journal(self, lines: int, *, follow: bool) -> list[str]:
        """All of its services write one file."""
        return ["tail", "-n", str(lines), *(["-f"] if follow else []), str(self.machine.journal)]

    def login(self) -> list[str]:
        """There is no other machine to be on."""
        raise CommandError(
            f"Machine {self.name} is a process on this machine: there is nothing to log in to; "
            f"its files lie in {self.machine.folder}."
        )

    def console(self) -> str:
        """Nothing but its journal."""
        return ""
