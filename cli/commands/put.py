"""Send photos to the input bucket."""

from pathlib import Path

import click

from cli import options
from cli.bucket_client import BucketClient, photos
from cli.stacks import outputs
from cli.stacks.target import Target, command_line
from cli.terminal import print_result, progress_bar


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.stack
def command(files: tuple[Path, ...], target: Target) -> None:
    items = photos(files)
    client = BucketClient(outputs.read(target.outputs()), target.name)
    with progress_bar("Sending", len(items)) as bar:
        client.put(items, bar.advance_to)
    log = command_line("log", target.name)
    print_result(f"Sent {len(items)}: '{log}' shows them when they are done.")
