"""Create or change what the stack's settings ask for."""

import click

from cli import options
from cli.machines import machine_kind
from cli.stacks.target import Target, command_line, explain_interrupt
from cli.terminal import print_result


@click.command(help=__doc__)
@options.stack
@machine_kind.options
def command(target: Target, machine: str | None, suite: str) -> None:
    machine_kind.choose(target, machine, suite)
    with target.alone(), explain_interrupt(target.name):
        target.check()
        target.open().up()
    print_result(f"The pipeline is up: '{command_line('put FILE…', target.name)}' sends photos.")
