"""Send photos to the input bucket of a pipeline.

FILES may be folders: the files in them, except hidden ones, are sent as FOLDER/NAME.

A file is skipped if the pipeline has it already: if an object of the same name and content is in
the input bucket, or if the output bucket has the result made from the same name and content. Files
that were refused are sent again.
"""

from pathlib import Path

import click

from cli import options
from cli.bucket_client import BucketClient
from cli.errors import CommandError
from cli.stacks import outputs
from cli.stacks.target import Target, command_line
from cli.terminal import print_result, progress_bar
from cli.uploads import find_photos, send


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--prefix",
    type=options.TEXT,
    default="",
    metavar="FOLDER",
    help="Send to this folder of the bucket.",
)
@click.option("--again", is_flag=True, help="Also send files that the pipeline has already.")
@options.pipeline
@options.stack
def command(
    files: tuple[Path, ...], prefix: str, again: bool, pipeline: str | None, target: Target
) -> None:
    photos = find_photos(files, prefix)
    if not photos:
        raise CommandError("No files were found at the given paths: nothing was sent.")
    stack = outputs.read(target.outputs())
    client = BucketClient(stack, stack.pipeline(pipeline), target.name)
    with progress_bar("Sending", len(photos)) as bar:
        report = send(client, photos, bar.advance_to, again=again)
    skipped = f" ({len(report.skipped)} were there already)" if report.skipped else ""
    log = command_line("log", target.name)
    print_result(f"Sent {len(report.sent)}{skipped}: '{log}' shows them when they are done.")
    if report.failures:
        heading = f"{len(report.failures)} of {len(photos)} files were not sent:"
        raise CommandError("\n  ".join([heading, *report.failures]))
