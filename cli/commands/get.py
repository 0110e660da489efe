"""Fetch the results of a photo.

NAME is the photo's name in the bucket, or the result's own. All pipelines are searched; all results
of the newest job are fetched. All results of a folder are on the page ('web'), as a ZIP file.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cli import options
from cli.bucket_client import BucketClient
from cli.errors import CommandError
from cli.machines.host import Host, first, stream
from cli.results import ALL
from cli.stacks import outputs
from cli.stacks.target import Target, command_line
from cli.terminal import print_result, visible
from worker.uploads.job import short_id

_PATH = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.argument("name", type=options.TEXT)
@click.option("--folder", "-d", default=Path(), type=_PATH, help="The folder to write to.")
@click.option("--output", "-o", "file", type=_PATH, help="The file to write.")
@options.pipeline
@options.stack
def command(
    name: str, folder: Path, file: Path | None, pipeline: str | None, target: Target
) -> None:
    where = file.parent if file else folder
    if not where.is_dir():
        raise CommandError(f"'{where}' is not a folder: create it first or name another.")
    stack = outputs.read(target.outputs())
    if pipeline is not None:
        outputs.check_name(pipeline, stack.pipelines)
    host = first(target)
    results = [
        result
        for result in _ask(host, ["results", "--json"], name, pipeline)
        if result["pipeline"] in stack.pipelines
    ]
    _check(results, name, file)
    if not results:
        raise CommandError(_why_missing(host, name, pipeline, target.name))
    client = BucketClient(stack, stack.pipelines[results[0]["pipeline"]], target.name)
    for result in results:
        path = file or folder / result["key"].rpartition("/")[2]
        client.download(result["bucket"], result["key"], path, result["version_id"])
        print_result(str(path))


def _ask(host: Host, command: Sequence[str], name: str, pipeline: str | None) -> list[Any]:
    chosen = [f"--pipeline={pipeline}"] if pipeline else []
    return [json.loads(line) for line in stream(host, [*command, *chosen, "--", name])]


def _check(results: Sequence[dict[str, Any]], name: str, file: Path | None) -> None:
    pipelines = sorted({result["pipeline"] for result in results})
    if len(pipelines) > 1:
        raise CommandError(
            f"Several pipelines have results of '{visible(name)}' ({', '.join(pipelines)}): name "
            "one with --pipeline NAME."
        )
    if file and len(results) > 1:
        raise CommandError(
            f"'{visible(name)}' has {len(results)} results, more than one file: write them to a "
            "folder with --folder FOLDER."
        )


def _why_missing(host: Host, name: str, pipeline: str | None, stack: str) -> str:
    listed = [f"--pipeline={pipeline}"] if pipeline else []
    arguments = ["jobs", "list", "--json", f"--last={ALL}", f"--like={name}", *listed]
    folder, shown = f"{name.rstrip('/')}/", visible(name)
    jobs, is_folder = list[Any](), False
    for job in map(json.loads, stream(host, arguments)):
        if job["key"] == name:
            jobs.append(job)
        is_folder |= any(key.startswith(folder) for key in (job["key"], *job["results"]))
    if not jobs:
        if is_folder:
            jobs_of = command_line(f"jobs --like {shlex.quote(visible(folder))}", stack)
            return (
                f"'{shown}' is a folder: \"{jobs_of}\" lists its photos and results; fetch them by "
                f"name, or all as a ZIP file from the page ('{command_line('web', stack)}')."
            )
        return (
            f"There is no result of '{shown}': '{command_line('jobs', stack)}' shows what was done "
            "and what was refused."
        )
    job = jobs[-1]
    if job["state"] in ("waiting", "running"):
        return f"'{shown}' is still {job['state']} in {job['pipeline']}: try again in a moment."
    show = command_line(f"jobs show {short_id(job['id'])}", stack)
    if job["state"] == "done":
        return (
            f"'{shown}' was done by {job['pipeline']} without a file as result: '{show}' says more."
        )
    return f"'{shown}' was refused by {job['pipeline']} ({job['reason']}): '{show}' says more."
