"""Check whether an object store keeps photos safe.

The checks use temporary buckets, which are removed at the end. The exit code is 0 if nothing can
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
from cli.check_store.checks import CHECKS
from cli.check_store.credentials import Credentials, from_environment, from_file
from cli.check_store.report import Report
from cli.check_store.runner import run_checks
from cli.check_store.store import Store
from cli.errors import CommandError
from cli.stacks import outputs
from cli.terminal import progress_bar


@click.command(help=__doc__)
@click.option(
    "--stack",
    type=options.TEXT,
    metavar="NAME",
    shell_complete=options.complete_stack,
    help="Check the store that this stack uses, with its keys.",
)
@click.option("--endpoint", metavar="URL", help="Check the store at this address.")
@click.option("--region", default="", help="The region, if the store requires one.")
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file of mode 0600 in the format of ~/.aws/credentials, with [default] and, for a "
    "second owner, [other].  [default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY]",
)
@options.as_json
def command(
    stack: str | None, endpoint: str | None, region: str, keys_file: Path | None, as_json: bool
) -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    store = _store(stack, endpoint, region, keys_file)
    with progress_bar("Checking", len(CHECKS)) as bar:
        report = Report(store.endpoint, run_checks(store, CHECKS, bar.advance_to))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        report.show()
    sys.exit(0 if report.is_safe else 1)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End as on Ctrl-C: the buckets are deleted."""
    raise KeyboardInterrupt


def _store(stack: str | None, endpoint: str | None, region: str, keys_file: Path | None) -> Store:
    if (stack is None) == (endpoint is None):
        raise CommandError(
            "Which store? Give --stack NAME for a stack's, or --endpoint URL for another one."
        )
    own, other = from_file(keys_file) if keys_file else (None, None)
    if stack is not None:
        found = outputs.read(options.find_stack(stack).outputs())
        ours = own or Credentials(found.s3_access_key, found.s3_secret_key)
        return Store(found.s3_endpoint, ours, other, region)
    address = urlsplit(str(endpoint))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise CommandError(
            f"--endpoint '{endpoint}' is not an http or https URL: write it as https://a3s.fi."
        )
    return Store(str(endpoint).rstrip("/"), own or from_environment(os.environ), other, region)
