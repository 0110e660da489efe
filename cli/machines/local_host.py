"""Machines of the local cloud: processes on this computer, and booted guests."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from cli.errors import CommandError, MachineNotReady
from cli.machines.boot import Step
from cli.machines.page import Page, await_answer
from cli.machines.ssh_host import SshHost
from cli.paths import LocalPaths
from local.machine.machine import SSH, BootedMachine, LocalMachine
from local.machine.process.machine import ProcessMachine

_USER = "ubuntu"  # as in a cloud's image
# $0 is the file, $1 the number of lines, $2 and $3 what the wanted lines contain.
_LAST = 'grep -F -e "$2" -e "$3" | tail -n "$1"'
_FOLLOW = (
    f'end=$(wc -c <"$0"); head -c "$end" "$0" | {_LAST}; '
    'tail -c "+$((end + 1))" -f "$0" | grep --line-buffered -F -e "$2" -e "$3"'
)


@dataclass(frozen=True)
class ProcessHost:
    """A machine that is a process."""

    machine: ProcessMachine

    @property
    def name(self) -> str:
        """The machine's name in the database's rows and heartbeats."""
        return self.machine.name

    @property
    def is_on_this_computer(self) -> bool:
        """Return true."""
        return True

    def start_worker(self, arguments: Sequence[str], errors: IO[str]) -> subprocess.Popen[str]:
        """Start the worker with the machine's settings."""
        machine = self.machine
        machine.await_boot()
        return subprocess.Popen(
            machine.worker_command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
            cwd=machine.folder,
            env=machine.environment(),
        )

    def explain_failure(self, code: int, errors: str) -> CommandError | None:
        """Return MachineNotReady if the machine has not fetched the worker."""
        del code, errors
        if self.machine.booted.exists():
            return None
        return MachineNotReady(
            f"Machine {self.name} has no worker yet: it fetches that from the object store, which "
            "may not respond. Try again in a minute; './pipeline logs' shows errors."
        )

    def steps(self) -> list[Step]:
        """Return none but the broker if it cannot be started: nothing is installed."""
        try:
            sentence = self.machine.problem.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [Step("pipeline-broker", f"failed: {sentence}", ())]

    def journal(
        self, lines: int, *, follow: bool, pipeline: str = "", service: str = ""
    ) -> list[str]:
        """Return `tail`: all of its services write one file."""
        file = str(self.machine.console)
        # The worker's lines and the machine's own, which quote the worker's command.
        words = [f'"pipeline": "{pipeline}"', f"--pipeline {pipeline} "]
        if service == "broker":
            words = [" broker: ", "machine: the broker "]
        elif service:
            words = [f'"service": "{service}"', f"worker {service} --port"]
        elif not pipeline:
            return ["tail", "-n", str(lines), *(["-f"] if follow else []), file]
        return ["sh", "-c", _FOLLOW if follow else f'<"$0" {_LAST}', file, str(lines), *words]

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Yield the page on this computer's loopback."""
        self.machine.await_boot()
        found = Page(self.machine.ports.get("web", 0), self.name)
        await_answer(found)
        yield found

    def login(self) -> list[str]:
        """Refuse: the machine is a process on this computer.

        Raises:
            CommandError: Always.
        """
        raise CommandError(
            f"Machine {self.name} is a process on this machine: there is nothing to log in to; "
            f"its files are in {self.machine.folder}."
        )

    def console(self) -> str:
        """Return "": a process has no console."""
        return ""

    def cloud_status(self) -> str:
        """Return "": only running processes are listed."""
        return ""


@dataclass(frozen=True)
class GuestHost(SshHost):
    """A booted guest, reached over ssh with the stack's key, as a cloud's VM is."""

    machine: BootedMachine | None = None

    def console(self) -> str:
        """Return the console log, which Nova would have."""
        if self.machine is None:
            return ""
        try:
            return self.machine.console.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def cloud_status(self) -> str:
        """Return "": only running guests are listed."""
        return ""


def local_hosts(
    machines: Sequence[LocalMachine], paths: LocalPaths
) -> list[ProcessHost | GuestHost]:
    """Return the access to running machines of the local cloud, the stack's first one first.

    Without that one there is no way to other guests.
    """
    found: list[ProcessHost | GuestHost] = []
    jump: GuestHost | None = None
    for machine in machines:
        if isinstance(machine, ProcessMachine):
            found.append(ProcessHost(machine))
            continue
        assert isinstance(machine, BootedMachine)  # noqa: S101
        port, interface = machine.await_ssh_port(), machine.interface
        if port is not None:
            host = _guest_host(machine, paths, "127.0.0.1", port)
            jump = jump or host
            found.append(host)
        elif jump is not None and interface is not None:
            found.append(_guest_host(machine, paths, interface.address, SSH, jump))
    return found


def _guest_host(
    machine: BootedMachine,
    paths: LocalPaths,
    address: str,
    port: int,
    jump: GuestHost | None = None,
) -> GuestHost:
    return GuestHost(
        name=machine.name,
        instance=machine.folder.name,
        address=address,
        user=_USER,
        key=paths.ssh_key,
        known_hosts=paths.root / "known_hosts",
        cloud="local",
        port=port,
        jump=jump,
        machine=machine,
    )
