"""The commands that a machine of the pipeline answers: log, status, logs, ssh."""

import json
import subprocess
import sys
from collections.abc import Sequence

import click

from cli import demo, options
from cli.errors import CommandError, MachineNotReady, MachineUnreachable
from cli.machines import machine
from cli.machines.boot_steps import sentences
from cli.machines.console import telling
from cli.machines.machine import Host
from cli.stacks.target import Target, command
from cli.terminal import out, print_progress


def _host(target: Target) -> Host:
    return machine.first(target.hosts(), command("up", target.name))


@click.command()
@options.stack
@click.option("--like", metavar="TEXT", help="Only names that contain TEXT.")
@options.as_json
def log(target: Target, like: str | None, as_json: bool) -> None:
    """What was done, from the database."""
    rows = machine.ask(_host(target), ["log", *(["--like", like] if like else [])])
    click.echo(json.dumps(rows, indent=2)) if as_json else out.print(demo.table(rows))


@click.command()
@options.stack
@options.as_json
def status(target: Target, as_json: bool) -> None:
    """Machines, backlog, rate, quarantine, last error."""
    host = _host(target)
    try:
        answer = machine.ask(host, ["status"])
    except CommandError as error:
        answers = isinstance(error, MachineNotReady) or not isinstance(error, MachineUnreachable)
        lines: Sequence[str] = sentences(host.steps()) if answers else telling(host.console())
        for line in lines:
            print_progress(f"  {host.name}: {line}")
        raise
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    out.print(machine.status_table(answer))
    # What fails beside it, such as a migration that the database refuses after a reboot.
    for line in sentences([step for step in host.steps() if step.failed]):
        print_progress(f"  {host.name}: {line}")


@click.command()
@options.stack
@click.option("--lines", "-n", default=100, show_default=True, help="How many of the last ones.")
@click.option("--follow", "-f", is_flag=True, help="Go on as more is said; Ctrl-C ends it.")
def logs(target: Target, lines: int, follow: bool) -> None:
    """What the machine's services said."""
    argv = _host(target).journal(lines, follow=follow)
    try:
        sys.exit(subprocess.run(argv, check=False).returncode)
    except KeyboardInterrupt:
        return


@click.command()
@options.stack
def ssh(target: Target) -> None:
    """Open a shell on the machine."""
    sys.exit(subprocess.run(_host(target).login(), check=False).returncode)
