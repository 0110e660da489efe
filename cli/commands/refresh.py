"""Compare the stack's state with its clouds; `up` then repairs what is missing."""

import click

from cli import options
from cli.stacks.target import Target, told_if_interrupted


@click.command(help=__doc__)
@options.stack
def command(target: Target) -> None:
    with target.alone(), told_if_interrupted(target.name):
        target.require().refresh()
