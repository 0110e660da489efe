"""Show the results recorded in the database.

The last 50 results, oldest first; with --since all since then.
"""

import click

from cli import options
from cli.machines.host import first
from cli.results import print_json, print_results, read_results, rows_to_show
from cli.stacks.target import Target


@click.command(help=__doc__)
@options.stack
@options.pipeline
@options.filters
@click.option("--quarantined", is_flag=True, help="Only quarantined files.")
@options.as_json
def command(
    target: Target,
    *,
    pipeline: str | None,
    last: int | None,
    since: str | None,
    like: str,
    quarantined: bool,
    as_json: bool,
) -> None:
    rows = read_results(
        first(target),
        last=rows_to_show(last, since),
        since=since or "",
        like=like,
        quarantined=quarantined,
        pipeline=pipeline,
    )
    if as_json:
        print_json(rows)
    else:
        print_results(rows)
