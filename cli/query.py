"""Queries of the database, which only the machine reaches."""

import json
from collections.abc import Iterator

from cli.errors import CommandError, WorkerFailed
from cli.machines.host import Host, stream
from cli.terminal import print_table


def query_lines(host: Host, query: str, *options: str) -> Iterator[str]:
    """Yield what `worker sql` prints of a read-only query.

    Raises:
        CommandError: The query is refused, or the machine or its database cannot be reached.
    """
    try:
        yield from stream(host, ["sql", query, *options])
    except WorkerFailed as error:  # its sentence is about the query or the database
        raise CommandError(error.reason) from None


def read_query(host: Host, query: str) -> Iterator[list[object]]:
    """Run a read-only query on the machine.

    Yields:
        The names of the columns, then each row.

    Raises:
        CommandError: The query is refused, or the machine or its database cannot be reached.
    """
    for line in query_lines(host, query):
        yield json.loads(line)


def print_query(host: Host, query: str) -> None:
    """Run a read-only query on the machine and print its table; raises as `read_query`."""
    rows = read_query(host, query)
    names = [_text(name) for name in next(rows)]
    print_table(([_text(value) for value in row] for row in rows), heading=names)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
