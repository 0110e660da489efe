"""The commands that a person types."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from pulumi.automation import OpType
from rich.table import Table
from rich.text import Text

from cli import demo as demonstration
from cli import machine, outputs, suites
from cli.bucket_client import BucketClient, photos
from cli.errors import PipelineError
from cli.local_stack import NAME, LocalStack
from cli.screen import counting, out

_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
_PATHS = click.Path(path_type=Path)


def _named(_context: click.Context, _option: click.Parameter, value: str) -> LocalStack:
    if value != NAME:
        raise PipelineError(
            f"Stack '{value}' is not on this machine: ./pipeline drives the stack '{NAME}' so far; "
            "for a real cloud run 'pulumi up' as README.md says under 'On a real cloud'."
        )
    return LocalStack()


_stack = click.option(
    "--stack", "local", default=NAME, show_default=True, callback=_named, help="Which stack."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Files dropped in a bucket are transformed, results land in another, a database remembers."""


@main.command()
@click.argument("files", nargs=-1, type=_PATHS)
@click.option("--keep", is_flag=True, help="Leave it running and say what to try next.")
def demo(files: tuple[Path, ...], keep: bool) -> None:
    """Stand the pipeline up here, send photos (ours or FILES), show the result, tear it down."""
    local = LocalStack()
    with local.alone():
        demonstration.demo(local, files, keep=keep)


@main.command()
@_stack
def up(local: LocalStack) -> None:
    """Make, change and replace what the program asks for."""
    with local.alone():
        local.open().up()
    out.print("The pipeline stands: './pipeline put FILE…' sends photos.")


@main.command()
@_stack
def preview(local: LocalStack) -> None:
    """Say what `up` would do."""
    with local.alone():
        stood = local.exists
        steps = local.open().preview()
        if not stood:
            local.destroy()
    changed = {step.urn for step in steps if step.op != OpType.SAME}
    out.print(f"{len(changed)} resources would change." if changed else "No change.")


@main.command()
@_stack
def refresh(local: LocalStack) -> None:
    """Compare with what is really there; `up` then makes what is missing again."""
    with local.alone():
        local.require().refresh()


@main.command()
@_stack
@click.option("--data", is_flag=True, help="Also where protectData guards the data.")
def destroy(local: LocalStack, data: bool) -> None:
    """Take everything down; nothing is left."""
    with local.alone():
        if not local.exists:
            out.print("No local pipeline is standing: nothing to take down.")
            return
        local.destroy(data=data)
    out.print("Nothing is left of it.")


@main.command("outputs")
@_stack
@_as_json
@click.option("--show-secrets", is_flag=True, help="Print passwords and keys too.")
def show_outputs(local: LocalStack, as_json: bool, show_secrets: bool) -> None:
    """Print the stack's outputs."""
    values: dict[str, Any] = {
        name: "[secret]" if output.secret and not show_secrets else output.value
        for name, output in sorted(local.require().outputs().items())
    }
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    grid = Table(box=None, show_header=False, pad_edge=False)
    for name, value in values.items():
        grid.add_row(name, Text(str(value)))
    out.print(grid)


@main.command()
@click.argument("files", nargs=-1, required=True, type=_PATHS)
@_stack
def put(files: tuple[Path, ...], local: LocalStack) -> None:
    """Send FILES to the input bucket."""
    items = photos(files)
    client = BucketClient(outputs.read(local.require()))
    with counting("Sending", len(items)) as bar:
        client.put(items, bar.at)
    out.print(f"Sent {len(items)}: './pipeline log' shows them when they are done.")


@main.command()
@click.argument("name")
@click.option("--folder", "-d", default=Path(), type=_PATHS, help="Where to put it.")
@_stack
def get(name: str, folder: Path, local: LocalStack) -> None:
    """Fetch the negative of NAME from the output bucket."""
    if not folder.is_dir():
        raise PipelineError(f"'{folder}' is not a folder: make it first or name another.")
    out.print(str(BucketClient(outputs.read(local.require())).get(name, folder)), soft_wrap=True)


@main.command()
@_stack
@click.option("--like", metavar="TEXT", help="Only names that contain TEXT.")
@_as_json
def log(local: LocalStack, like: str | None, as_json: bool) -> None:
    """What was done, from the database."""
    rows = machine.ask(local.standing_cloud(), ["log", *(["--like", like] if like else [])])
    click.echo(json.dumps(rows, indent=2)) if as_json else out.print(demonstration.table(rows))


@main.command()
@_stack
@_as_json
def status(local: LocalStack, as_json: bool) -> None:
    """Machines, backlog, rate, quarantine, last error."""
    answer = machine.ask(local.standing_cloud(), ["status"])
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    out.print(machine.status_table(answer))


@main.command()
@click.option("--all", "everything", is_flag=True, help="Add the long suites.")
@click.argument("pytest_arguments", nargs=-1)
def test(everything: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Lint, unit, worker and engine tests; what is skipped is said, and why."""
    sys.exit(suites.run(everything=everything, extra=pytest_arguments))


if __name__ == "__main__":
    main(prog_name="./pipeline")
