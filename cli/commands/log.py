"""Show the results recorded in the database.

The last 50 results, oldest first; with --since all since then.
"""

import json
from collections.abc import Iterable
from datetime import datetime

import click

from cli import options
from cli.errors import CommandError
from cli.machines.host import first
from cli.options import TEXT
from cli.results import ALL, Row, print_results, read_results
from cli.stacks.target import Target

_DEFAULT = 50


@click.command(help=__doc__)
@options.stack
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="The last N; 0 for all.")
@click.option(
    "--since",
    type=TEXT,
    metavar="TIME",
    help="Only results since this time: 2026-11-28, 2026-11-28T09:30 (UTC).",
)
@click.option("--like", type=TEXT, default="", metavar="TEXT", help="Only names that contain TEXT.")
@click.option("--quarantined", is_flag=True, help="Only quarantined files.")
@options.as_json
def command(
    target: Target,
    *,
    last: int | None,
    since: str | None,
    like: str,
    quarantined: bool,
    as_json: bool,
) -> None:
    if since is not None:
        _check_time(since)
    if last is None:
        last = 0 if since else _DEFAULT
    rows = read_results(
        first(target), last=last or ALL, since=since or "", like=like, quarantined=quarantined
    )
    if as_json:
        _print_json(rows)
    else:
        print_results(rows)


def _check_time(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--since '{text}' is not a time: write it as 2026-11-28 or 2026-11-28T09:30."
        ) from None


def _print_json(rows: Iterable[Row]) -> None:
    """Print an array, row by row."""
    separator = "[\n  "
    for row in rows:
        click.echo(separator + json.dumps(row), nl=False)
        separator = ",\n  "
    click.echo("\n]" if separator.startswith(",") else "[]")
