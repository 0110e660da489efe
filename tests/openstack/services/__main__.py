"""`python -m tests.openstack.services prepare | up FOLDER | down FOLDER`, for a person's use."""

import sys
import time
from pathlib import Path

import click

from tests.openstack.services import prerequisites, stack
from tests.openstack.services.errors import ServicesError

_FOLDER = click.Path(path_type=Path)


@click.group()
def main() -> None:
    """Real OpenStack on loopback."""


@main.command()
def prepare() -> None:
    """Install packages and seed databases, once for all starts."""
    if prerequisites.missing():
        return  # the tests say so
    began = time.monotonic()
    if not stack.prepared():
        click.echo("Preparing OpenStack (once, some minutes) …")
    stack.prepare()
    click.echo(f"OpenStack is prepared ({time.monotonic() - began:.0f} s).")


@main.command()
@click.argument("folder", type=_FOLDER)
def up(folder: Path) -> None:
    """Start the OpenStack of FOLDER and leave it running."""
    if sentence := prerequisites.missing():
        raise click.ClickException(sentence)
    began = time.monotonic()
    there = stack.up(folder)
    click.echo(f"It runs ({time.monotonic() - began:.0f} s):")
    click.echo(f"export OS_CLIENT_CONFIG_FILE={there.clouds_yaml} OS_CLOUD=pouta")


@main.command()
@click.argument("folder", type=_FOLDER)
def down(folder: Path) -> None:
    """End the OpenStack of FOLDER and remove it."""
    stack.down(folder)


if __name__ == "__main__":
    try:
        main()
    except ServicesError as error:
        sys.exit(str(error))
