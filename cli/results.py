"""Results of uploads: awaited, read from the machine's database, printed as a table."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cli.bucket_client import BucketClient
from cli.errors import CommandError
from cli.machines.host import Host, stream
from cli.stacks.target import command_line
from cli.terminal import print_table, progress_bar

_HASH_DIGITS = 16
_POLL_SECONDS = 0.25
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


def await_results(client: BucketClient, keys: Sequence[str], patience: float) -> None:
    """Wait until uploads have been processed, and show the progress.

    Args:
        client: The buckets.
        keys: Keys of the uploads.
        patience: Seconds without progress after which to give up.

    Raises:
        CommandError: There was no progress for so long.
    """
    with progress_bar("Negating", len(keys)) as bar:
        done, last_progress = 0, time.monotonic()
        while done < len(keys):
            now = client.count_processed(keys)
            if now > done:
                done, last_progress = now, time.monotonic()
                bar.advance_to(done)
            elif time.monotonic() - last_progress > patience:
                status = command_line("status", client.stack)
                raise CommandError(
                    f"{len(keys) - done} photos are still waiting after {patience:.0f} s without "
                    f"progress: '{status}' shows why."
                )
            else:
                time.sleep(_POLL_SECONDS)


def print_results(rows: Iterable[Row]) -> None:
    """Print rows in columns as they come."""
    print_table(map(_cells, rows), heading=("name", "sha256", "time", "seconds"), right={3})


def _cells(row: Row) -> tuple[str, str, str, str]:
    if row["outcome"] == "done":
        name, result = row["output_key"], (row["output_sha256"] or "")[:_HASH_DIGITS]
    else:
        name, result = f"{row['input_key']} (refused)", row["reason"]
    return name, result, row["timestamp"], f"{row['seconds']:.3f}"
