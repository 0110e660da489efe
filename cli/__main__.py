"""The commands that a person types."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click
from pulumi.automation import OpType
from rich.table import Table
from rich.text import Text

from cli import demo as demonstration
from cli import on_machine, options, suites, unknown
from cli.bench import bench
from cli.bucket_client import BucketClient, photos
from cli.check_store.command import check_store
from cli.errors import CommandError
from cli.init.command import cost, init
from cli.machines import machine_kind
from cli.stacks import outputs
from cli.stacks.local_stack import LocalStack
from cli.stacks.strays import remove
from cli.stacks.target import LOCAL, Target, command, told_if_interrupted
from cli.terminal import out, print_progress, progress_bar

_PATHS = click.Path(path_type=Path)
_BACKUPS = (
    "Backups that the database service made stay as long as the cloud keeps them (Pukki: 90 days); "
    "users cannot remove those."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Files dropped in a bucket are transformed, results land in another, a database remembers."""


@main.command()
@click.argument("files", nargs=-1, type=_PATHS)
@click.option("--keep", is_flag=True, help="Leave it running and say what to try next.")
@machine_kind.options
def demo(files: tuple[Path, ...], keep: bool, machine: str | None, suite: str) -> None:
    """See it work here: stand up, send photos, tear down.

    The photos are FILES, or ours where none are named.
    """
    local = LocalStack()
    machine_kind.choose(local, machine, suite)
    with local.alone(), told_if_interrupted(LOCAL):
        demonstration.demo(local, files, keep=keep)


@main.command()
@options.stack
@machine_kind.options
def up(target: Target, machine: str | None, suite: str) -> None:
    """Make, change and replace what the program asks for."""
    machine_kind.choose(target, machine, suite)
    with target.alone(), told_if_interrupted(target.name):
        target.check()
        target.open().up()
    out.print(f"The pipeline stands: '{command('put FILE…', target.name)}' sends photos.")


@main.command()
@options.stack
def preview(target: Target) -> None:
    """Say what `up` would do."""
    with target.alone():
        stood = target.exists
        steps = target.open().preview()
        if not stood:
            target.forget_preview()
    if unknown.shows_machine_replaced(steps):
        print_progress(unknown.EXPLANATION)
    changed = {step.urn for step in steps if step.op != OpType.SAME}
    out.print(f"{len(changed)} resources would change." if changed else "No change.")


@main.command()
@options.stack
def refresh(target: Target) -> None:
    """See what is really there; `up` then mends it."""
    with target.alone(), told_if_interrupted(target.name):
        target.require().refresh()


@main.command()
@options.stack
@click.option("--data", is_flag=True, help="Also what protectData guards: buckets and database.")
@click.option("--yes", is_flag=True, help="Do not ask for the stack's name.")
def destroy(target: Target, data: bool, yes: bool) -> None:
    """Take everything down; nothing is left."""
    with target.alone(), told_if_interrupted(target.name):
        if not target.exists:
            what = "No local pipeline" if target.name == LOCAL else f"Nothing of '{target.name}'"
            out.print(f"{what} is standing: nothing to take down.")
            return
        if data and not yes and target.name != LOCAL:
            _confirm(target.name)
        target.destroy(data=data)
    out.print("Nothing is left of it.")
    if target.name != LOCAL:
        print_progress(_BACKUPS)


def _confirm(stack: str) -> None:
    """Data go for good, so a slip of the fingers must not be enough."""
    typed = click.prompt(
        f"All uploads, results and the database of '{stack}' will be gone. Type the stack's name",
        default="",
        show_default=False,
        err=True,
    )
    if typed.strip() != stack:
        raise CommandError(
            f"'{typed.strip()}' is not '{stack}': nothing was removed (scripts say --yes)."
        )


@main.command()
@options.stack
@click.option("--remove", "removing", is_flag=True, help="Delete them, buckets excepted.")
@click.option("--yes", is_flag=True, help="Do not ask for the stack's name.")
def strays(target: Target, removing: bool, yes: bool) -> None:
    """List what is on the clouds but not in the stack's state."""
    with target.alone():
        found = target.strays()
        for stray in found:
            out.print(f"{stray.kind}  {stray.name}  {stray.id}", soft_wrap=True)
        if not found:
            out.print("Under its names the clouds have nothing that the state does not know.")
        keys = target.unclaimed_keys()
        if keys:
            print_progress(keys)
        if not found:
            return
        if removing and not yes:
            _confirm(target.name)
        for stray in found if removing else ():
            print_progress(f"  - removing {stray.kind} {stray.name}")
            remove(stray)


@main.command("outputs")
@options.stack
@options.as_json
@click.option("--show-secrets", is_flag=True, help="Print passwords and keys too.")
def show_outputs(target: Target, as_json: bool, show_secrets: bool) -> None:
    """Print the stack's outputs."""
    values: dict[str, Any] = {
        name: "[secret]" if output.secret and not show_secrets else output.value
        for name, output in sorted(target.require().outputs().items())
    }
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    grid = Table(box=None, show_header=False, pad_edge=False)
    for name, value in values.items():
        grid.add_row(name, Text(str(value)))
    out.print(grid)


@main.command()
@options.stack
def env(target: Target) -> None:
    """Print what bare `pulumi` needs to drive the same stack.

    In a shell: eval "$(./pipeline env --stack NAME)".
    """
    # To a stack that its backend does not have yet, `pulumi up` says no more than just that.
    _ = target.require() if target.name == LOCAL else target.open()
    for name, value in target.home().environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@main.command()
@click.argument("files", nargs=-1, required=True, type=_PATHS)
@options.stack
def put(files: tuple[Path, ...], target: Target) -> None:
    """Send FILES to the input bucket."""
    items = photos(files)
    client = BucketClient(outputs.read(target.require()), target.name)
    with progress_bar("Sending", len(items)) as bar:
        client.put(items, bar.at)
    out.print(f"Sent {len(items)}: '{command('log', target.name)}' shows them when they are done.")


@main.command()
@click.argument("name")
@click.option("--folder", "-d", default=Path(), type=_PATHS, help="Where to put it.")
@options.stack
def get(name: str, folder: Path, target: Target) -> None:
    """Fetch the negative of NAME from the output bucket."""
    if not folder.is_dir():
        raise CommandError(f"'{folder}' is not a folder: make it first or name another.")
    client = BucketClient(outputs.read(target.require()), target.name)
    out.print(str(client.get(name, folder)), soft_wrap=True)


@main.command()
@click.option("--all", "everything", is_flag=True, help="Add the long suites.")
@click.option("--openstack", is_flag=True, help="Only those against real OpenStack and Ceph.")
@click.option("--qemu", is_flag=True, help="Only the machine with a kernel of its own; long.")
@click.argument("pytest_arguments", nargs=-1)
def test(everything: bool, openstack: bool, qemu: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Lint, unit, worker and engine tests.

    What is skipped is said, and why.
    """
    asked = {"everything": everything, "openstack": openstack, "qemu": qemu}
    sys.exit(suites.run(**asked, extra=pytest_arguments))


for each in (
    bench,
    check_store,
    init,
    cost,
    on_machine.log,
    on_machine.status,
    on_machine.logs,
    on_machine.ssh,
):
    main.add_command(each)


if __name__ == "__main__":
    main(prog_name="./pipeline")
