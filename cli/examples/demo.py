"""The demo of an example: deploy, send its data, wait for its runs, show all, take it down."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from cli.bucket_client import BucketClient
from cli.contact_sheet import gallery
from cli.demo_page import demo_page
from cli.errors import CommandError
from cli.examples.example import Example
from cli.examples.interface import Deployed, Plan, Results, Setup
from cli.examples.waiting import await_runs, read_jobs
from cli.job_report import print_jobs
from cli.machines.host import Host, first
from cli.paths import cache_folder, make_cache_folder
from cli.query import print_query, read_query
from cli.stacks import outputs
from cli.stacks.local_stack import LocalStack
from cli.stacks.temporary_stack import temporary
from cli.terminal import print_result, print_section, progress_bar
from cli.uploads import Photo, send
from infra.names import PROJECT
from local import private_file
from worker.quantities import counted

_NEXT = "It keeps running: './pipeline destroy' takes it down."
_LOGS = "select pipeline, key, log from results where log <> '' order by created_at, key"


def run(local: LocalStack, example: Example, *, has_page: bool, keep: bool) -> None:
    """Deploy an example on the local stack, send its data, show the results, destroy it.

    Args:
        local: The local stack, which must not exist.
        example: The example.
        has_page: Open the stack's page before the data is sent.
        keep: Leave it running.

    Raises:
        CommandError: A step failed, and everything was taken down; or jobs were refused.
    """
    if local.exists:
        raise CommandError(
            "A local stack is deployed already: take it down with './pipeline destroy' first."
        )
    started = time.monotonic()
    with temporary(local, next_steps=_NEXT if keep else ""):
        deployed = _deploy(local, example)
        with demo_page(local, keep=keep) if has_page else nullcontext():
            refused = _show(deployed, example)
    print_result(f"The example took {time.monotonic() - started:.0f} seconds.")
    if refused:
        raise CommandError(f"Jobs that were refused: {refused}. The table has the reasons.")


def _deploy(local: LocalStack, example: Example) -> Deployed:
    setup, plan = _prepare(local, example)
    stack = local.open()
    stack.create()
    for name, value in plan.secrets.items():
        stack.set_secret(name, value)
    stack.up()
    host = first(local)
    return Deployed(setup, plan, local, lambda query: list(read_query(host, query))[1:])


def _show(deployed: Deployed, example: Example) -> int:
    """Send, wait and show; return how many jobs were refused."""
    found, plan = outputs.read(deployed.target.outputs()), deployed.plan
    (entry,) = [each for each in found.pipelines.values() if not each.sources]
    photos = _files(plan.data)
    with progress_bar("Sending files", len(photos)) as bar:
        report = send(BucketClient(found, entry), photos, bar.advance_to)
    if report.failures:
        raise CommandError("\n".join(report.failures))
    host = first(deployed.target)
    sent = [*(photo.key for photo in photos), *example.send(deployed)]
    await_runs(host, entry.name, sent)
    jobs = read_jobs(host)
    print_jobs(jobs)
    _print_logs(host)
    folder = cache_folder() / "demo" / example.name
    _fetch(found, jobs, folder)
    _print_files(example, photos, folder, list(plan.pipelines))
    example.show(Results(folder, lambda query: print_query(host, query)))
    return sum(job["state"] != "done" for job in jobs)


def _prepare(local: LocalStack, example: Example) -> tuple[Setup, Plan]:
    """Make what the example needs, and the stack's pipelines."""
    make_cache_folder()
    cache = cache_folder() / "examples" / example.name
    for folder in (cache, local.paths.example):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    setup = Setup(example.source, cache, local.paths.example, local.cloud.host)
    plan = example.plan(setup)
    settings = {f"{PROJECT}:{name}": value for name, value in plan.settings.items()}
    private_file.write(
        local.paths.own_pipelines,
        yaml.safe_dump({**plan.pipelines, **settings}, sort_keys=False),
    )
    return setup, plan


def _files(data: Path) -> list[Photo]:
    files = sorted(path for path in data.rglob("*") if path.is_file())
    return [Photo(path, path.relative_to(data).as_posix()) for path in files]


def _print_logs(host: Host) -> None:
    """Print what the jobs printed; `./pipeline jobs show ID` has it too."""
    rows = read_query(host, _LOGS)
    next(rows)  # the names of the columns
    for pipeline, key, log in rows:
        print_section(f"log of {pipeline}: {key}", str(log).rstrip().splitlines())


def _fetch(found: outputs.Outputs, jobs: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Fetch all results as PIPELINE/KEY below a folder, whose earlier content is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    for job in jobs:
        client = BucketClient(found, found.pipeline(job["pipeline"]))
        for key in job["results"]:
            target = folder / job["pipeline"] / key
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download("", key, target)


def _print_files(
    example: Example, photos: Sequence[Photo], folder: Path, pipelines: Sequence[str]
) -> None:
    """Print where the results are, and show the pictures on one sheet: data first, then results."""
    files = sorted(
        (path for path in folder.rglob("*") if path.is_file()),
        key=lambda path: (pipelines.index(path.relative_to(folder).parts[0]), path),
    )
    print_result()
    for file in files:
        print_result(f"{file.relative_to(folder)}, {counted(file.stat().st_size, 'byte')}")
    print_result(f"Results: {folder}")
    sent = [(f"sent: {photo.key}", photo.path) for photo in photos]
    made = [(file.relative_to(folder).as_posix(), file) for file in files]
    pictures = list(_pictures([*sent, *made]))
    if pictures:
        sheet = folder.with_name(f"{example.name}.png")
        gallery(pictures, sheet)
        print_result(f"Pictures: {sheet}")


def _pictures(named: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    for name, path in named:
        try:
            with Image.open(path):
                yield name, path
        except OSError:
            continue
