"""Fetch the result of a photo from the output bucket."""

from pathlib import Path

import click

from cli import options
from cli.bucket_client import BucketClient
from cli.errors import CommandError
from cli.stacks import outputs
from cli.stacks.target import Target
from cli.terminal import print_result


@click.command(help=__doc__)
@click.argument("name")
@click.option(
    "--folder", "-d", default=Path(), type=click.Path(path_type=Path), help="Where to put it."
)
@options.stack
def command(name: str, folder: Path, target: Target) -> None:
    if not folder.is_dir():
        raise CommandError(f"'{folder}' is not a folder: make it first or name another.")
    client = BucketClient(outputs.read(target.outputs()), target.name)
    print_result(str(client.get(name, folder)))
