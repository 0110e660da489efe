"""Show the journal of the machine's services."""

import subprocess
import sys

import click

from cli import options
from cli.machines.host import first
from cli.stacks import outputs
from cli.stacks.target import Target
from cli.terminal import print_result


@click.command(help=__doc__)
@options.stack
@options.pipeline
@click.option(
    "--service",
    type=click.Choice(["web", "proxy", "broker", "ingest"]),
    help="Only this one: the page and upload API, TLS in front of it, MQTT, what stores messages.",
)
@click.option("--lines", "-n", default=100, show_default=True, help="How many of the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Print new lines as they come; Ctrl-C ends it.")
def command(
    target: Target, pipeline: str | None, service: str | None, lines: int, follow: bool
) -> None:
    if pipeline is not None and service is not None:
        raise click.UsageError("--pipeline and --service exclude each other.")
    if pipeline is not None:
        outputs.read(target.outputs()).pipeline(pipeline)
    argv = first(target).journal(
        lines, follow=follow, pipeline=pipeline or "", service=service or ""
    )
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as process:
        assert process.stdout is not None  # noqa: S101
        try:
            for line in process.stdout:
                print_result(line.rstrip("\n"))
        except KeyboardInterrupt:
            process.terminate()
            return
    sys.exit(process.returncode)
