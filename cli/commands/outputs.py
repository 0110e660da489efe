"""Print the stack's outputs."""

import json

import click

from cli import options
from cli.stacks.target import Target, require_finished
from cli.terminal import print_table


@click.command(help=__doc__)
@options.stack
@options.as_json
@click.option("--show-secrets", is_flag=True, help="Print passwords and keys too.")
def command(target: Target, as_json: bool, show_secrets: bool) -> None:
    values = dict(sorted(target.outputs(show_secrets=show_secrets).items()))
    if not values:
        require_finished(values, target.name)
    if as_json:
        click.echo(json.dumps(values, indent=2))
    else:
        print_table((name, str(value)) for name, value in values.items())
