"""What several commands have in common on the command line."""

import click

from cli.stacks.cloud_stack import CloudStack
from cli.stacks.local_stack import LocalStack
from cli.stacks.target import LOCAL, Target


def named(name: str) -> Target:
    """The stack of that name; raises CommandError where there is none."""
    return LocalStack() if name == LOCAL else CloudStack(name)


def _named(_context: click.Context, _option: click.Parameter, value: str) -> Target:
    return named(value)


stack = click.option(
    "--stack",
    "target",
    default=LOCAL,
    show_default=True,
    metavar="NAME",
    callback=_named,
    help="Which stack: the one on this machine, or one that 'init' made.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
