"""List, show, retry and drop jobs: what was done with each object, and with all of a run.

Without a command, 'jobs' lists: the last 50 jobs, oldest first; with --since all since then.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

from cli import options
from cli.errors import CommandError
from cli.job_report import print_job, print_jobs
from cli.machines.host import ask, first, stream
from cli.results import print_json, rows_to_show
from cli.run_report import print_runs
from cli.stacks.target import Target
from cli.terminal import print_progress, print_result, visible
from worker.uploads.job import short_id

_STATES = ("waiting", "running", "done", "quarantined", "dropped")
_ID_PATTERN = re.compile("[0-9a-fA-F]{6,32}")


class _Id(click.ParamType[str]):
    """The id of a job or run, or its first digits."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the digits; anything else is a usage error."""
        if not _ID_PATTERN.fullmatch(value):
            self.fail(
                f"'{visible(value)}' is not an id: give its first 6 to 32 digits.", param, ctx
            )
        return value.lower()


_ID = _Id()
_FORCE = click.option(
    "--force", is_flag=True, help="Even if an object of the name waits, or a newer one is done."
)
_RUN = click.option(
    "--run",
    type=_ID,
    metavar="ID",
    help="Only jobs of this run: all that one upload led to.",
)
_REASON = click.option(
    "--reason", type=options.TEXT, metavar="TEXT", help="Only jobs whose reason contains TEXT."
)


def _change_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what commands that change jobs have in common, for `_change`."""
    ids = click.argument("ids", nargs=-1, type=_ID, metavar="ID…")
    shared = (ids, _REASON, _RUN, _FORCE, options.pipeline, options.stack, options.as_json)
    for option in reversed(shared):
        function = option(function)
    return function


class _Jobs(click.Group):
    """A group whose command 'list' is the default."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert 'list' unless a command or help is asked for."""
        known = (*self.commands, *ctx.help_option_names)
        if args[0] not in known if args else not ctx.resilient_parsing:
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(help=__doc__, cls=_Jobs)
def command() -> None:
    pass


@command.command("list")
@options.stack
@options.pipeline
@click.option("--state", type=click.Choice(_STATES), help="Only jobs in this state.")
@_RUN
@_REASON
@options.filters
@options.as_json
def list_(
    target: Target,
    *,
    pipeline: str | None,
    state: str | None,
    run: str | None,
    reason: str | None,
    last: int | None,
    since: str | None,
    like: str,
    as_json: bool,
) -> None:
    """Show the last jobs, oldest first."""
    chosen = {"pipeline": pipeline, "state": state, "run": run, "reason": reason}
    chosen |= {"since": since, "like": like}
    arguments = ["jobs", "list", "--json", f"--last={rows_to_show(last, since)}"]
    if as_json:
        print_json(_rows(target, [*arguments, *_options(chosen)]))
        return
    if run:
        print_runs([ask(first(target), ["jobs", "run", run])])
        print_result()
    print_jobs(_rows(target, [*arguments, *_options(chosen)]))


@command.command()
@click.argument("identifier", type=_ID, metavar="ID")
@options.stack
@options.as_json
def show(identifier: str, target: Target, as_json: bool) -> None:
    """Show a job: its history, its results, and the jobs before and after it."""
    found = ask(first(target), ["jobs", "show", identifier])
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_job(found)


@command.command("run")
@click.argument("identifiers", nargs=-1, required=True, type=_ID, metavar="ID…")
@options.stack
@options.as_json
def run_(identifiers: tuple[str, ...], target: Target, as_json: bool) -> None:
    """Show how far runs are, side by side: their jobs, what blocks them, their configuration.

    An ID is that of a run or of one of its jobs.
    """
    found = [ask(first(target), ["jobs", "run", one]) for one in identifiers]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_runs(found)


@command.command()
@click.option("--state", type=click.Choice(["quarantined", "done"]), help="All jobs in this state.")
@_change_options
def retry(**chosen: Any) -> None:
    """Process objects again: quarantined ones, or done ones whose inputs were kept.

    --reason and --run choose quarantined jobs unless --state says done.
    """
    _change("retry", "Put back", **chosen)


@command.command()
@click.option("--state", type=click.Choice(["quarantined"]), help="All quarantined jobs.")
@_change_options
def drop(**chosen: Any) -> None:
    """Delete quarantined objects for good."""
    _change("drop", "Dropped", **chosen)


def _change(
    verb: str,
    done: str,
    *,
    ids: tuple[str, ...],
    state: str | None,
    reason: str | None,
    run: str | None,
    force: bool,
    pipeline: str | None,
    target: Target,
    as_json: bool,
) -> None:
    """Change jobs, and print what became of each, also if the machine fails meanwhile."""
    if bool(ids) == bool(state or reason or run):
        raise CommandError(
            "Give the ids of jobs, or --state quarantined, --reason TEXT or --run ID."
        )
    chosen = _options({"state": state, "reason": reason, "run": run, "pipeline": pipeline})
    arguments = ["jobs", verb, "--json", *chosen, *(["--force"] if force else []), *ids]
    rows = _rows(target, arguments)
    if as_json:
        print_json(rows)
        return
    count = 0
    for row in rows:
        count += 1
        if row["ok"]:
            print_result(f"{done}: {short_id(row['id'])} {row['key']}")
        else:
            print_progress(row["problem"])
    if not count:
        print_progress("There is no such job.")


def _rows(target: Target, arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in stream(first(target), arguments))


def _options(values: dict[str, str | None]) -> Iterable[str]:
    return [f"--{name}={value}" for name, value in values.items() if value]
