"""Query the database: QUERY is one SELECT, run read-only on the machine.

The table of results is pipeline.results, for example:

\b
./pipeline sql "select outcome, count(*) from results group by outcome"
"""  # noqa: D301  click reads \b: lines that it does not wrap

import sys

import click

from cli import options
from cli.machines.host import first
from cli.query import print_query, query_lines
from cli.stacks.target import Target
from cli.terminal import visible_lines


@click.command(help=__doc__)
@click.argument("query", type=options.TEXT)
@options.stack
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def command(query: str, target: Target, as_csv: bool) -> None:
    host = first(target)
    if as_csv:
        for line in query_lines(host, query, "--csv"):
            sys.stdout.write(visible_lines(line) if sys.stdout.isatty() else line)
        return
    print_query(host, query)
