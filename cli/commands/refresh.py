"""Compare the stack's state with its clouds; `up` then repairs what is missing."""

import click

from cli import options
from cli.stacks.target import Target, explain_interrupt


@click.command(help=__doc__)
@options.stack
def command(target: Target) -> None:
    with target.alone(), explain_interrupt(target.name):
        target.require().refresh()
