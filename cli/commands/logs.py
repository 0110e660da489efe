"""Show the journal of the machine's services."""

import subprocess
import sys

import click

from cli import options
from cli.machines.host import first
from cli.stacks.target import Target


@click.command(help=__doc__)
@options.stack
@click.option("--lines", "-n", default=100, show_default=True, help="How many of the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Print new lines as they come; Ctrl-C ends it.")
def command(target: Target, lines: int, follow: bool) -> None:
    argv = first(target).journal(lines, follow=follow)
    try:
        sys.exit(subprocess.run(argv, check=False).returncode)
    except KeyboardInterrupt:
        return
