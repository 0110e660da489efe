"""Open a shell on the machine."""

import subprocess
import sys

import click

from cli import options
from cli.machines import machine
from cli.stacks.target import Target


@click.command(help=__doc__)
@options.stack
def command(target: Target) -> None:
    sys.exit(subprocess.run(machine.first(target).login(), check=False).returncode)
