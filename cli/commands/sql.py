"""Query the database: QUERY is one SELECT, run read-only on the machine.

The table of results is pipeline.results, for example:

\b
./pipeline sql "select outcome, count(*) from results group by outcome"
"""  # noqa: D301  click reads \b: lines that it does not wrap

import json
import sys
from collections.abc import Iterator

import click

from cli import options
from cli.machines.host import first, stream
from cli.stacks.target import Target
from cli.terminal import print_table, visible_lines


@click.command(help=__doc__)
@click.argument("query", type=options.TEXT)
@options.stack
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def command(query: str, target: Target, as_csv: bool) -> None:
    host = first(target)
    if as_csv:
        for line in stream(host, ["sql", query, "--csv"]):
            sys.stdout.write(visible_lines(line) if sys.stdout.isatty() else line)
        return
    rows = (json.loads(line) for line in stream(host, ["sql", query]))
    names = next(rows)
    print_table(_cells(rows), heading=names)


def _cells(rows: Iterator[list[object]]) -> Iterator[list[str]]:
    for row in rows:
        yield [_text(value) for value in row]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
