"""Show the journals of the machines' services; with several machines each line names its own."""

import sys

import click

from cli import options
from cli.machines.host import choose
from cli.machines.journals import print_journals
from cli.stacks import outputs
from cli.stacks.target import Target


@click.command(help=__doc__)
@options.stack
@options.pipeline
@options.machine
@click.option(
    "--service",
    type=click.Choice(["web", "proxy", "broker", "ingest"]),
    help="Only this one: the page and upload API, TLS in front of it, MQTT, what stores messages.",
)
@click.option("--lines", "-n", default=100, show_default=True, help="How many of the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Print new lines as they come; Ctrl-C ends it.")
def command(
    *,
    target: Target,
    pipeline: str | None,
    machine: str | None,
    service: str | None,
    lines: int,
    follow: bool,
) -> None:
    if pipeline is not None and service is not None:
        raise click.UsageError("--pipeline and --service exclude each other.")
    if pipeline is not None:
        outputs.read(target.outputs()).pipeline(pipeline)
    hosts = choose(target, machine)
    if service is not None and machine is None:
        hosts = hosts[:1]  # the others have none of them
    commands = {
        host.name: host.journal(
            lines, follow=follow, pipeline=pipeline or "", service=service or ""
        )
        for host in hosts
    }
    sys.exit(print_journals(commands, follow=follow))
