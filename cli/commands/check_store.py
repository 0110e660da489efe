"""Check whether an object store keeps photos safe.

The checks use buckets of their own, which are removed at the end. The exit code is 0 if nothing can
be lost and 1 if something can.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click

from cli import options
from cli.check_store.keys import Keys, from_environment, from_file
from cli.check_store.probe import probe
from cli.check_store.questions import FACTS
from cli.check_store.report import Report
from cli.check_store.store import Store
from cli.errors import CommandError
from cli.stacks import outputs
from cli.terminal import progress_bar


@click.command(help=__doc__)
@click.option("--stack", metavar="NAME", help="Ask the store that this stack uses, with its keys.")
@click.option("--endpoint", metavar="URL", help="Ask the store that answers there.")
@click.option("--region", default="", help="The region to sign for, where the store wants one.")
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keys in a file of mode 0600 as AWS's tools have it, [default] and, of a second owner, "
    "[other]; else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment.",
)
@options.as_json
def command(
    stack: str | None, endpoint: str | None, region: str, keys_file: Path | None, as_json: bool
) -> None:
    signal.signal(signal.SIGTERM, _interrupted)
    store = _store(stack, endpoint, region, keys_file)
    with progress_bar("Asking", len(FACTS)) as bar:
        report = Report(store.endpoint, probe(store, FACTS, bar.advance_to))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        report.show()
    sys.exit(0 if report.trusted else 1)


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    """As Ctrl-C: what was made is removed."""
    raise KeyboardInterrupt


def _store(stack: str | None, endpoint: str | None, region: str, keys_file: Path | None) -> Store:
    if (stack is None) == (endpoint is None):
        raise CommandError(
            "Which store? Say --stack NAME for a stack's, or --endpoint URL for another one."
        )
    own, other = from_file(keys_file) if keys_file else (None, None)
    if stack is not None:
        found = outputs.read(options.find_stack(stack).outputs())
        ours = own or Keys(found.s3_access_key, found.s3_secret_key)
        return Store(found.s3_endpoint, ours, other, region)
    address = urlsplit(str(endpoint))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise CommandError(
            f"--endpoint '{endpoint}' is no http or https URL: write it as https://a3s.fi."
        )
    return Store(str(endpoint).rstrip("/"), own or from_environment(os.environ), other, region)
