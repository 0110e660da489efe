"""Estimate what a stack costs in CSC's billing units, by cli/prices.toml."""

import json
from dataclasses import asdict

import click

from cli import cost, options
from cli.errors import CommandError
from cli.init import settings_file
from cli.stacks import registry
from cli.stacks.target import LOCAL


@click.command(help=__doc__)
@click.option(
    "--stack",
    type=options.TEXT,
    default=LOCAL,
    show_default=True,
    metavar="NAME",
    shell_complete=options.complete_stack,
    help="The stack.",
)
@options.as_json
def command(stack: str, as_json: bool) -> None:
    path = registry.settings_file(stack)
    if not path.is_file():
        raise CommandError(f"There is no {path.name}: './pipeline init {stack}' writes it.")
    bill = cost.of_stack(settings_file.read(path))
    if as_json:
        click.echo(json.dumps([asdict(item) for item in bill], indent=2))
    else:
        cost.print_bill(bill)
