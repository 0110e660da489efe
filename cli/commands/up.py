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
    print_result(_next_step(target.name))


def _next_step(stack: str) -> str:
    from cli.pipelines.definitions import Definitions  # imports the engine's SDK

    definitions = Definitions(stack)
    if len(definitions.entries) == 1:
        return f"The pipeline is up: '{command_line('put FILE…', stack)}' sends photos."
    first = [name for name in definitions.entries if not definitions.sources(name)]
    put = command_line("put FILE… --pipeline NAME", stack)
    return f"The pipelines are up: '{put}' sends files to one of {', '.join(first)}."
