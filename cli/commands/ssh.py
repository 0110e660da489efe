"""Open a shell on a machine."""

import subprocess
import sys

import click

from cli import options
from cli.machines.host import first
from cli.stacks.target import Target


@click.command(help=__doc__)
@options.stack
@options.machine
def command(target: Target, machine: str | None) -> None:
    sys.exit(subprocess.run(first(target, machine).login(), check=False).returncode)
