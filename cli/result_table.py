"""Rows of the ledger as a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from cli.terminal import print_table

_HASH_DIGITS = 16


def print_results(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows of `python -m worker log --json` as they come."""
    print_table(map(_cells, rows), heading=("name", "sha256", "time", "seconds"), right={3})


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    if row["outcome"] == "done":
        name, result = row["output_key"], (row["output_sha256"] or "")[:_HASH_DIGITS]
    else:
        name, result = f"{row['input_key']} (refused)", row["reason"]
    return name, result, row["timestamp"], f"{row['seconds']:.3f}"
