"""Rows of the ledger: read from the machine, printed as a table."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from cli.machines.host import Host, stream
from cli.terminal import print_progress, print_table

_HASH_DIGITS = 16
ALL = 2**31 - 1
"""As `last`: every row."""

Row = Mapping[str, Any]


def read_results(
    host: Host, *, last: int, since: str = "", like: str = "", quarantined: bool = False
) -> Iterator[Row]:
    """Yield rows as the machine sends them, oldest first.

    Args:
        host: The machine that has access to the database.
        last: How many of the last ones.
        since: Only those recorded since this time, ISO 8601.
        like: Only those with a name that contains this text.
        quarantined: Only those that were refused.

    Raises:
        CommandError: The machine or its database cannot be reached.
    """
    arguments = ["log", "--json", f"--last={last}"]
    arguments += [f"--since={since}"] if since else []
    arguments += [f"--like={like}"] if like else []
    arguments += ["--quarantined"] if quarantined else []
    for line in stream(host, arguments):
        yield json.loads(line)


def print_results(rows: Iterable[Row]) -> None:
    """Print rows in columns as they come, or a sentence if there are none."""
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        print_progress("No results.")
        return
    cells = map(_cells, chain([first], rows))
    print_table(cells, heading=("name", "sha256", "time", "seconds"), right={3})


def _cells(row: Row) -> tuple[str, str, str, str]:
    if row["outcome"] == "done":
        name, result = row["output_key"], (row["output_sha256"] or "")[:_HASH_DIGITS]
    else:
        name, result = f"{row['input_key']} (refused)", row["reason"]
    return name, result, row["timestamp"], f"{row['seconds']:.3f}"
