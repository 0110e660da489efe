"""`./pipeline demo`: the whole pipeline in a minute, and nothing left of it."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cli.bucket_client import BucketClient, Photo, photos
from cli.errors import CommandError
from cli.machines import machine
from cli.paths import CHECKOUT, cache_folder
from cli.sheet import contact_sheet
from cli.stacks import outputs
from cli.stacks.local_stack import LocalStack
from cli.stacks.target import command
from cli.terminal import out, print_progress, progress_bar

_POLL_SECONDS = 0.25
_PATIENCE_SECONDS = 300  # without any photo becoming ready; a container installs its worker first


def demo(local: LocalStack, paths: Sequence[Path], *, keep: bool) -> None:
    """Stand up, send photos, wait, show, tear down; raises CommandError if a photo was refused."""
    items = photos(list(paths) or samples())
    if local.exists:
        raise CommandError(
            "A local pipeline is standing already: send photos to it with './pipeline put FILE…', "
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
        out.print(_NEXT)
    else:
        local.destroy()
        out.print(f"Nothing is left of it but .venv and {cache_folder()}.", soft_wrap=True)
    out.print(f"The demo took {time.monotonic() - started:.0f} seconds.")
    if refused:
        raise CommandError(f"{refused} of {len(items)} files could not be negated: see the table.")


def samples() -> list[Path]:
    """The photographs we ship."""
    return sorted(p for p in (CHECKOUT / "samples").iterdir() if p.suffix in {".jpg", ".png"})


def _show(local: LocalStack, items: Sequence[Photo]) -> int:
    stack = local.open()
    stack.up()
    client = BucketClient(outputs.read(stack))
    with progress_bar("Sending photos", len(items)) as bar:
        client.put(items, bar.at)
    _wait(client, items)
    rows = machine.ask(machine.first(local.hosts(), command("up")), ["log"])
    out.print(table(rows))
    done = {row["input_key"] for row in rows if row["outcome"] == "done"}
    sheet = cache_folder() / "demo" / "before-and-after.png"
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(i.path, client.get(i.key, Path(folder))) for i in items if i.key in done]
        if pairs:
            contact_sheet(pairs, sheet)
            out.print(f"Before and after: {sheet}", soft_wrap=True)
    return sum(item.key not in done for item in items)


def _wait(client: BucketClient, items: Sequence[Photo]) -> None:
    keys = [item.key for item in items]
    with progress_bar("Negating", len(keys)) as bar:
        done, last = 0, time.monotonic()
        while done < len(keys):
            now = client.settled(keys)
            if now > done:
                done, last = now, time.monotonic()
                bar.at(done)
            elif time.monotonic() - last > _PATIENCE_SECONDS:
                raise CommandError(
                    f"{len(keys) - done} photos still wait after {_PATIENCE_SECONDS} s without "
                    "progress: './pipeline status' tells what stands in the way."
                )
            else:
                time.sleep(_POLL_SECONDS)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The ledger as people read it."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "sha256", "time", "seconds"):
        grid.add_column(name, justify="right" if name == "seconds" else "left", overflow="fold")
    for row in rows:
        name = row["output_key"] if row["outcome"] == "done" else f"{row['input_key']} (refused)"
        result = (row["output_sha256"] or "")[:16] if row["outcome"] == "done" else row["reason"]
        grid.add_row(name, result, row["timestamp"], f"{row['seconds']:.3f}")
    return grid


_NEXT = """
It stays up. Try:
  ./pipeline put PHOTO…          send more
  ./pipeline get cat.jpg         fetch a negative into this folder
  ./pipeline log --like cat      what the database remembers
  ./pipeline status              backlog, rate, last pass
  ./pipeline destroy             take it all down
"""
