"""Show what was done, from the database."""

import json

import click

from cli import options
from cli.machines.host import ask, first
from cli.result_table import print_results
from cli.stacks.target import Target


@click.command(help=__doc__)
@options.stack
@click.option("--like", metavar="TEXT", help="Only names that contain TEXT.")
@options.as_json
def command(target: Target, like: str | None, as_json: bool) -> None:
    chosen = ["--last", "1000000000", *(["--like", like] if like else [])]
    rows = ask(first(target), ["log", *chosen])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        print_results(rows)
