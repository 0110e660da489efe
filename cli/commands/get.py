"""Fetch the result of a photo from the output bucket.

NAME is the photo's name in the bucket, or the result's own.
"""

from pathlib import Path

import click

from cli import options
from cli.bucket_client import BucketClient
from cli.errors import CommandError
from cli.stacks import outputs
from cli.stacks.target import Target
from cli.terminal import print_result

_PATH = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.argument("name", type=options.TEXT)
@click.option("--folder", "-d", default=Path(), type=_PATH, help="The folder to write to.")
@click.option("--output", "-o", "file", type=_PATH, help="The file to write.")
@options.pipeline
@options.stack
def command(
    name: str, folder: Path, file: Path | None, pipeline: str | None, target: Target
) -> None:
    where = file.parent if file else folder
    if not where.is_dir():
        raise CommandError(f"'{where}' is not a folder: create it first or name another.")
    stack = outputs.read(target.outputs())
    client = BucketClient(stack, stack.pipeline(pipeline), target.name)
    print_result(str(client.get(name, folder, file)))
