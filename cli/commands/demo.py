"""See it work on this computer: deploy, send photos, take everything down.

The photos are FILES, or those that come with the project.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from cli.bucket_client import BucketClient, Photo, photos
from cli.contact_sheet import contact_sheet
from cli.errors import CommandError
from cli.machines import machine_kind
from cli.machines.host import ask, first
from cli.paths import CHECKOUT, cache_folder
from cli.result_table import print_results
from cli.stacks import outputs
from cli.stacks.local_stack import LocalStack
from cli.stacks.target import LOCAL, explain_interrupt
from cli.terminal import print_progress, print_result, progress_bar

_POLL_SECONDS = 0.25
_PATIENCE_SECONDS = 300  # without any photo becoming ready; a container installs its worker first


@click.command(help=__doc__)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--keep", is_flag=True, help="Leave it running and say what to try next.")
@machine_kind.options
def command(files: tuple[Path, ...], keep: bool, machine: str | None, suite: str) -> None:
    local = LocalStack()
    machine_kind.choose(local, machine, suite)
    with local.alone(), explain_interrupt(LOCAL):
        _run(local, files, keep=keep)


def _run(local: LocalStack, paths: Sequence[Path], *, keep: bool) -> None:
    """Deploy, send photos, wait, show, take down; raises CommandError if a photo was refused."""
    items = photos(list(paths) or samples())
    if local.exists:
        raise CommandError(
            "A local pipeline is deployed already: send photos to it with './pipeline put FILE…', "
            "or take it down with './pipeline destroy' first."
        )
    started = time.monotonic()
    try:
        refused = _show(local, items)
    except BaseException as error:
        print_progress("Taking down what was stood up.")
        LocalStack(local.paths).destroy()  # as another command would: what an engine left is seen
        if isinstance(error, KeyboardInterrupt):
            raise CommandError("Interrupted: nothing is left of it.") from None
        raise
    if keep:
        print_result(_NEXT)
    else:
        local.destroy()
        print_result(f"Nothing is left of it but .venv and {cache_folder()}.")
    print_result(f"The demo took {time.monotonic() - started:.0f} seconds.")
    if refused:
        raise CommandError(f"{refused} of {len(items)} files could not be negated: see the table.")


def samples() -> list[Path]:
    """The photographs we ship."""
    return sorted(p for p in (CHECKOUT / "samples").iterdir() if p.suffix in {".jpg", ".png"})


def _show(local: LocalStack, items: Sequence[Photo]) -> int:
    stack = local.open()
    stack.up()
    client = BucketClient(outputs.read(stack.outputs()))
    with progress_bar("Sending photos", len(items)) as bar:
        client.put(items, bar.advance_to)
    _wait(client, items)
    rows = ask(first(local), ["log", "--last", str(len(items))])
    print_results(rows)
    done = {row["input_key"] for row in rows if row["outcome"] == "done"}
    sheet = cache_folder() / "demo" / "before-and-after.png"
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(i.path, client.get(i.key, Path(folder))) for i in items if i.key in done]
        if pairs:
            contact_sheet(pairs, sheet)
            print_result(f"Before and after: {sheet}")
    return sum(item.key not in done for item in items)


def _wait(client: BucketClient, items: Sequence[Photo]) -> None:
    keys = [item.key for item in items]
    with progress_bar("Negating", len(keys)) as bar:
        done, last = 0, time.monotonic()
        while done < len(keys):
            now = client.settled(keys)
            if now > done:
                done, last = now, time.monotonic()
                bar.advance_to(done)
            elif time.monotonic() - last > _PATIENCE_SECONDS:
                raise CommandError(
                    f"{len(keys) - done} photos still wait after {_PATIENCE_SECONDS} s without "
                    "progress: './pipeline status' tells what stands in the way."
                )
            else:
                time.sleep(_POLL_SECONDS)


_NEXT = """
It stays up. Try:
  ./pipeline put PHOTO…          send more
  ./pipeline get cat.jpg         fetch a negative into this folder
  ./pipeline log --like cat      what the database remembers
  ./pipeline status              backlog, rate, last pass
  ./pipeline destroy             take it all down
"""
