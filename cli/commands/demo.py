"""See it work: deploy, send photos, take everything down.

The photos are FILES, or those that come with the project. With --stack the demo tries a stack on a
cloud that is not deployed yet: it checks settings, store, results, database and machine, destroys
everything and prints a report for others to read. With --example it deploys one of the project's
examples instead, sends that one's data, and shows its results. With --machines the stack on this
computer has several machines, gets more photos, and the demo shows how many each of them did.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import click

from cli import options
from cli.bucket_client import BucketClient
from cli.contact_sheet import contact_sheet
from cli.demo_page import demo_page
from cli.errors import CommandError
from cli.examples.example import find, names
from cli.fleet_demo import more_photos, print_shares
from cli.machines import machine_kind
from cli.machines.fleet import await_fleet
from cli.machines.host import first
from cli.paths import cache_folder
from cli.results import await_rows, print_results
from cli.stacks import outputs
from cli.stacks.local_stack import LocalStack
from cli.stacks.target import Target, command_line, explain_interrupt
from cli.stacks.temporary_stack import temporary
from cli.terminal import print_progress, print_result, progress_bar
from cli.uploads import Photo, await_results, find_photos, sample_photos, send
from infra.names import PROJECT
from local import private_file
from local.api.quotas import DEFAULTS

_CLOUD_PHOTOS = 3
#: The page shows inputs beside results where they are kept.
_WITH_INPUTS = "negatives: {transform: negate, keepInputs: true}\n"
_MACHINES = f"{PROJECT}:machines: %d\n"
_PATIENCE_SECONDS = 300  # without progress; a container installs its worker first


def _complete_example(_context: object, _option: object, incomplete: str) -> list[str]:
    return [name for name in names() if name.startswith(incomplete)]


@click.command(help=__doc__)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@options.stack
@click.option(
    "--example",
    type=options.TEXT,
    metavar="NAME",
    shell_complete=_complete_example,
    help=f"Show an example of examples/ on this computer: {', '.join(names())}.",
)
@click.option(
    "--web",
    "has_page",
    is_flag=True,
    help="Open the stack's page in the browser first, and wait for Enter at the end.",
)
@click.option("--keep", is_flag=True, help="Leave it running and say what to try next.")
@click.option(
    "--machines",
    type=click.IntRange(1, DEFAULTS["compute"]["instances"]),
    default=1,
    show_default=True,
    metavar="N",
    help="Share the photos among N machines on this computer.",
)
@machine_kind.options
def command(
    *,
    files: tuple[Path, ...],
    target: Target,
    example: str | None,
    has_page: bool,
    keep: bool,
    machines: int,
    machine: str | None,
    suite: str,
) -> None:
    if has_page and not isinstance(target, LocalStack):
        shown = command_line("web", target.name)
        raise CommandError(
            f"--web shows a stack on this computer: leave out --stack; '{shown}' opens the page of "
            "a stack on a cloud."
        )
    if machines > 1 and (example is not None or not isinstance(target, LocalStack)):
        raise CommandError(
            "--machines is for photos on this computer: leave out --example and --stack; the "
            "setting 'machines' is for stacks on a cloud."
        )
    if example is not None:
        _show_example(example, files, target, machine, suite, has_page=has_page, keep=keep)
        return
    machine_kind.choose(target, machine, suite)
    photos = find_photos(files) if files else sample_photos()
    for photo in photos:
        photo.check()
    with target.alone(), explain_interrupt(target.name):
        if isinstance(target, LocalStack):
            _run(target, photos, machines, has_page=has_page, keep=keep)
        else:
            _run_on_cloud(target, photos if files else photos[:_CLOUD_PHOTOS], keep=keep)


def _show_example(
    name: str,
    files: Sequence[Path],
    target: Target,
    machine: str | None,
    suite: str,
    *,
    has_page: bool,
    keep: bool,
) -> None:
    from cli.examples import demo

    found = find(name)
    if files or not isinstance(target, LocalStack):
        raise CommandError(
            "--example sends its own data to a stack on this computer: leave out FILES and --stack."
        )
    machine_kind.choose(target, machine, suite)
    with target.alone(), explain_interrupt(target.name):
        demo.run(target, found, has_page=has_page, keep=keep)


def _run_on_cloud(target: Target, photos: Sequence[Photo], *, keep: bool) -> None:
    from cli.cloud_demo import CloudDemo, next_steps
    from cli.stacks.cloud_stack import CloudStack

    assert isinstance(target, CloudStack)  # noqa: S101
    CloudDemo(target, photos).run(keep=keep)
    if keep:
        print_progress(next_steps(target.name))


def _run(
    local: LocalStack, photos: Sequence[Photo], machines: int, *, has_page: bool, keep: bool
) -> None:
    """Deploy, send photos, wait, show, take down; raises CommandError if a photo was refused."""
    if local.exists:
        raise CommandError(
            "A local stack is deployed already: send photos to it with './pipeline put FILE…', "
            "or take it down with './pipeline destroy' first."
        )
    settings = _WITH_INPUTS if has_page else ""
    settings += _MACHINES % machines if machines > 1 else ""
    local.has_pipelines = bool(settings)  # else 'negatives' as it is by default
    started = time.monotonic()
    with temporary(local, next_steps=_NEXT if keep else ""):
        if settings:
            private_file.write(local.paths.own_pipelines, settings)
        local.open().up()
        with demo_page(local, keep=keep) if has_page else nullcontext():
            refused = _show(local, photos, machines)
    print_result(f"The demo took {time.monotonic() - started:.0f} seconds.")
    if refused:
        raise CommandError(f"{refused} of {len(photos)} files could not be negated: see the table.")


def _show(local: LocalStack, photos: Sequence[Photo], machines: int) -> int:
    """Send photos; print the results; return how many were refused."""
    found = outputs.read(local.outputs())
    client = BucketClient(found, found.pipeline(None))
    sent = list(photos)
    if machines > 1:
        await_fleet(local, len(found.pipelines), _PATIENCE_SECONDS)
        sent += more_photos(machines)
    with progress_bar("Sending photos", len(sent)) as bar:
        report = send(client, sent, bar.advance_to)
    if report.failures:
        raise CommandError("\n".join(report.failures))
    await_results(client, [photo.key for photo in sent], _PATIENCE_SECONDS, with_removal=False)
    all_rows = await_rows(first(local), {photo.key for photo in sent}, _PATIENCE_SECONDS)
    keys = {photo.key for photo in photos}
    rows = [row for row in all_rows if row["input_key"] in keys]
    print_results(rows)
    if machines > 1:
        print_shares([host.name for host in local.hosts()], all_rows)
    done = {row["input_key"]: row["output_key"] for row in rows if row["outcome"] == "done"}
    sheet = cache_folder() / "demo" / "before-and-after.png"
    with tempfile.TemporaryDirectory() as folder:
        pairs: list[tuple[Path, Path]] = []
        for photo in photos:
            if photo.key in done:
                result = Path(folder, str(len(pairs)), Path(done[photo.key]).name)
                result.parent.mkdir()
                client.download("", done[photo.key], result)
                pairs.append((photo.path, result))
        if pairs:
            contact_sheet(pairs, sheet)
            print_result(f"Before and after: {sheet}")
    return sum(photo.key not in done for photo in photos)


_NEXT = """
It keeps running. Try:
  ./pipeline put PHOTO…          send more
  ./pipeline get cat.jpg         fetch a result into this folder
  ./pipeline web                 the page: upload, watch, compare
  ./pipeline log --like cat      what the database has recorded
  ./pipeline status              machines, backlog, time left, rate
  ./pipeline destroy             take it all down
"""
