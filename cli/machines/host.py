"""Access to a machine that runs the worker: the database admits only connections from there."""

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any, Protocol

from cli.errors import CommandError, MachineNotReady, WorkerFailed
from cli.machines.boot import Step
from cli.stacks.target import command_line
from cli.terminal import visible
from infra.names import Names
from worker.errors import TablesMissing

if TYPE_CHECKING:
    from cli.machines.page import Page
    from cli.stacks.target import Target


# A machine creates the tables some seconds after its worker was installed.
_MIGRATION_SECONDS = 20
_PAUSE_SECONDS = 0.5


class Host(Protocol):
    """Access to a machine. Implementations: ProcessHost, GuestHost and SshHost."""

    @property
    def name(self) -> str:
        """The machine's name in the database's rows and heartbeats."""

    @property
    def is_on_this_computer(self) -> bool:
        """Whether it is a process here: the load that it reports is this computer's."""

    def start_worker(self, arguments: Sequence[str], errors: IO[str]) -> subprocess.Popen[str]:
        """Start `python -m worker <arguments>` on the machine.

        Args:
            arguments: The worker's command line.
            errors: The file that gets its standard error; its standard output is a pipe.
        """

    def explain_failure(self, code: int, errors: str) -> CommandError | None:
        """Return why the machine could not run the worker, None if the worker itself failed.

        Args:
            code: The exit code of `start_worker`'s process.
            errors: What it wrote to standard error.
        """

    def steps(self) -> list[Step]:
        """Return the steps of its boot that failed or run; [] also if it cannot be reached."""

    def journal(
        self, lines: int, *, follow: bool, pipeline: str = "", service: str = ""
    ) -> list[str]:
        """Return a command for this computer that prints the log of the machine's services.

        Args:
            lines: How many of the last lines.
            follow: Whether new lines are printed as they come.
            pipeline: The one whose passes are shown, "" for all services.
            service: The one that is shown, such as `web`, "" for all services.
        """

    def page(self) -> AbstractContextManager["Page"]:
        """Return the machine's page, which this computer reaches within the context.

        Raises:
            CommandError: The machine cannot be logged in to, or does not serve the page yet.
        """

    def login(self) -> list[str]:
        """Return a command for this computer that opens a shell on the machine.

        Raises:
            CommandError: There is nothing to log in to.
        """

    def console(self) -> str:
        """Return the console's last lines, "" where there is no console."""

    def cloud_status(self) -> str:
        """Return the machine's status at its cloud (SHUTOFF, ERROR …), "" if active or unknown."""


def choose(target: "Target", machine: str | None = None) -> Sequence[Host]:
    """Return a stack's running machines in the order of their numbers, or one of them.

    Args:
        target: The stack.
        machine: The name or number of the one to return, None for all.

    Raises:
        CommandError: Nothing is deployed, no such machine runs, or another command is changing the
            stack.
    """
    hosts = target.hosts()
    if not hosts:
        refresh, up = (command_line(name, target.name) for name in ("refresh", "up"))
        raise CommandError(
            "No machine of the pipeline can be reached, since the first one, through which others "
            f"are reached, does not run: '{refresh}', then '{up}' starts it."
        )
    if machine is None:
        return hosts
    names = Names.of_stack(target.name)
    name = names.machine(int(machine)) if re.fullmatch(r"\d{1,9}", machine) else machine
    found = [host for host in hosts if host.name == name]
    if not found:
        running = ", ".join(host.name for host in hosts)
        raise CommandError(f"Machine '{visible(machine)}' is not running: choose one of {running}.")
    return found


def first(target: "Target", machine: str | None = None) -> Host:
    """Return the machine of a stack that commands are run on: the first, unless one is named.

    Raises:
        CommandError: Nothing is deployed, no such machine runs, or another command is changing the
            stack.
    """
    return choose(target, machine)[0]


def stream(host: Host, arguments: Sequence[str]) -> Iterator[str]:
    """Run `python -m worker <arguments>` on the machine, once the database has its tables.

    Yields:
        The lines that it prints, as they come.

    Raises:
        MachineUnreachable: The machine cannot be logged in to.
        MachineNotReady: Its worker is not installed yet, or has not created the tables in time.
        WorkerFailed: The worker failed.
    """
    deadline = time.monotonic() + _MIGRATION_SECONDS
    while True:
        try:
            yield from _output(host, arguments)
        except _NotMigrated:
            if time.monotonic() > deadline or any(step.failed for step in host.steps()):
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


class _NotMigrated(MachineNotReady):
    pass


def _output(host: Host, arguments: Sequence[str]) -> Iterator[str]:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = host.start_worker(arguments, errors)
        assert process.stdout is not None  # noqa: S101
        try:
            yield from process.stdout
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
            process.stdout.close()
        if code == 0:
            return
        if code == TablesMissing.exit_status:
            raise _NotMigrated(
                f"Machine {host.name} is still being set up: the database has no tables yet. "
                "Try again in a minute."
            )
        errors.seek(0)
        printed = errors.read()
        last = (printed.strip().splitlines() or ["no output"])[-1]
        raise host.explain_failure(code, printed) or WorkerFailed(
            arguments[0], host.name, visible(last)
        )


def ask(host: Host, arguments: Sequence[str]) -> Any:
    """Run `python -m worker <arguments> --json` on the machine.

    Returns:
        Its answer.

    Raises:
        CommandError: As `stream`.
    """
    return json.loads("".join(stream(host, [*arguments, "--json"])))
