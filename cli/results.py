"""Rows of the ledger: read from the machine, printed as a table."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import chain, islice
from typing import Any

import click

from cli.machines.host import Host, stream
from cli.terminal import print_progress, print_table

_HASH_DIGITS = 16
_DEFAULT = 50
_AHEAD = 1000  # rows that are held in memory
ALL = 2**31 - 1
"""As `last`: every row."""

Row = Mapping[str, Any]


def rows_to_show(last: int | None, since: str | None) -> int:
    """Return how many rows --last and --since ask for; 50 without both."""
    if last is None:
        last = 0 if since else _DEFAULT
    return last or ALL


def read_results(
    host: Host,
    *,
    last: int,
    since: str = "",
    like: str = "",
    quarantined: bool = False,
    pipeline: str | None = None,
) -> Iterator[Row]:
    """Yield rows as the machine sends them, oldest first.

    Args:
        host: The machine that has access to the database.
        last: How many of the last ones.
        since: Only those recorded since this time, ISO 8601.
        like: Only those with a name that contains this text.
        quarantined: Only those that were refused.
        pipeline: Only those of this pipeline.

    Raises:
        CommandError: The machine or its database cannot be reached.
    """
    arguments = ["log", "--json", f"--last={last}"]
    arguments += [f"--since={since}"] if since else []
    arguments += [f"--like={like}"] if like else []
    arguments += ["--quarantined"] if quarantined else []
    arguments += [f"--pipeline={pipeline}"] if pipeline else []
    for line in stream(host, arguments):
        yield json.loads(line)


def await_rows(host: Host, keys: Set[str], patience: float) -> list[Row]:
    """Return the rows of uploads, which are recorded right after the results are stored.

    Args:
        host: The machine that has access to the database.
        keys: The uploads; others may be recorded meanwhile.
        patience: After how many seconds to return without the missing rows.

    Raises:
        CommandError: The machine or its database cannot be reached.
    """
    deadline = time.monotonic() + patience
    while True:
        rows = [row for row in read_results(host, last=ALL) if row["input_key"] in keys]
        if keys <= {row["input_key"] for row in rows} or time.monotonic() > deadline:
            return rows


def print_results(rows: Iterable[Row]) -> None:
    """Print rows in columns as they come, or a sentence if there are none.

    The pipeline is a column if the first rows are of several. What few rows have, the notes or the
    reason, comes last, so that the others are not padded.
    """
    rows = iter(rows)
    ahead = list(islice(rows, _AHEAD))
    if not ahead:
        print_progress("No results.")
        return
    before = ["pipeline"] * (len({row.get("pipeline") for row in ahead}) > 1)
    notes = ["notes"] * any(row.get("notes") for row in ahead)
    reasons = ["reason"] * any(row["outcome"] != "done" for row in ahead)
    last = " or ".join(notes + reasons)
    cells = ([*(row[key] for key in before), *_cells(row)] for row in chain(ahead, rows))
    heading = [*before, "name", "sha256", "time", "seconds", last]
    print_table(cells, heading, right={heading.index("seconds")})


def print_json(rows: Iterable[Row]) -> None:
    """Print a JSON array, row by row; it is closed also if the machine fails meanwhile."""
    separator = "[\n  "
    try:
        for row in rows:
            click.echo(separator + json.dumps(row), nl=False)
            separator = ",\n  "
        if separator.startswith("["):
            click.echo("[]")
    finally:
        if separator.startswith(","):
            click.echo("\n]")


def _cells(row: Row) -> list[str]:
    name, seconds = row["output_key"] or row["input_key"], f"{row['seconds']:.3f}"
    if row["outcome"] != "done":
        return [f"{row['input_key']} (refused)", "", row["timestamp"], seconds, row["reason"]]
    digits, notes = (row["output_sha256"] or "")[:_HASH_DIGITS], "; ".join(row.get("notes") or ())
    return [name, digits, row["timestamp"], seconds, notes]
