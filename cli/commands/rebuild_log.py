"""Write rows that the database lost again, from the metadata of results.

Rows that are there stay as they are, and the command may be repeated. Workers may run meanwhile.
"""

import json

import click

from cli import options
from cli.machines.host import first, stream
from cli.stacks.target import Target
from cli.terminal import print_result


@click.command(help=__doc__)
@options.stack
@options.pipeline
@options.as_json
def command(target: Target, pipeline: str | None, as_json: bool) -> None:
    arguments = ["rebuild-log", *([f"--pipeline={pipeline}"] if pipeline else [])]
    for line in stream(first(target), arguments):
        if as_json:
            click.echo(line.rstrip("\n"))
            continue
        found = json.loads(line)
        others = f"; {found['others']} objects are not results" if found["others"] else ""
        print_result(
            f"{found['pipeline']}: {found['added']} rows added, {found['results']} results"
            f" found{others}"
        )
