"""Add rows that the database lost, from the metadata of results and the notes in quarantine.

Existing rows are not changed. The command may be repeated, also while workers run.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import click

from cli import options
from cli.machines.host import first, stream
from cli.stacks.target import Target
from cli.terminal import print_result

_SHOWN = 10


@click.command(help=__doc__)
@options.stack
@options.pipeline
@options.as_json
def command(target: Target, pipeline: str | None, as_json: bool) -> None:
    arguments = ["rebuild-log", *([f"--pipeline={pipeline}"] if pipeline else [])]
    for line in stream(first(target), arguments):
        if as_json:
            click.echo(line.rstrip("\n"))
            continue
        found = json.loads(line)
        if "quarantine" in found:
            for sentence in _quarantine(found["quarantine"]):
                print_result(sentence)
            continue
        others = f"; other objects: {found['others']}" if found["others"] else ""
        print_result(
            f"{found['pipeline']}: rows added: {found['added']}; results found: {found['results']}"
            f"{others}"
        )


def _quarantine(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield sentences on what was found in the quarantine bucket."""
    yield f"quarantine: rows added: {len(found['rebuilt'])}"
    if put_back := found["put_back"]:
        yield f"quarantine: files that were put back and wait: {len(put_back)}"
    if missing := found["without_copy"]:
        yield (
            f"quarantine: missing files, perhaps dropped since the backup: {len(missing)}; "
            f"record that with 'jobs drop': {_some(missing)}"
        )
    if unexplained := found["unexplained"]:
        shown = _some(unexplained)
        yield f"quarantine: files without a readable note: {len(unexplained)} ({shown})"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more (--json)" if len(names) > _SHOWN else ""
    return " ".join(names[:_SHOWN]) + more
