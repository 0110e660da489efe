"""Open a shell on the machine."""

import subprocess
import sys

import click

from cli import options
from cli.machines.host import first
from cli.stacks.target import Target


@click.command(help=__doc__)
@options.stack
def command(target: Target) -> None:
    sys.exit(subprocess.run(first(target).login(), check=False).returncode)
