"""Print the environment in which bare `pulumi` finds the stack.

In a shell: eval "$(./pipeline env --stack NAME)".
"""

import shlex

import click

from cli import options
from cli.stacks.target import LOCAL, Target


@click.command(help=__doc__)
@options.stack
def command(target: Target) -> None:
    # A stack that its backend does not have yet makes `pulumi up` fail, so it is created here.
    stack = target.require() if target.name == LOCAL else target.open()
    stack.create()
    for name, value in stack.workspace.environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
