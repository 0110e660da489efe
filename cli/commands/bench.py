"""Run benchmarks; write tables and plots to docs/measurements.md.

`compare REV` runs the worker of HEAD and of another revision in turns.
"""

from pathlib import Path

import click

from bench import benchmarks
from cli.errors import CommandError
from local.machine import kinds


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar=f"[{'|'.join(benchmarks.NAMES)}]...")
@click.option("--quick", is_flag=True, help="Small and short; docs/measurements.md is not changed.")
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    help="A folder with photos (JPEG), of any depth.  [default: Debian's mate-backgrounds if"
    " installed, else samples]",
)
@click.option(
    "--machine",
    type=click.Choice([kinds.PROCESS, kinds.NSPAWN]),
    default=kinds.PROCESS,
    show_default=True,
    help="The machine for `latency`.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.1),
    help="How long `soak` lasts.  [default: 30, with --quick 0.2]",
)
@click.option(
    "--count",
    type=click.IntRange(min=4),
    help="How many photos `faces` finds faces in.  [default: 1000, with --quick 8]",
)
def command(
    names: tuple[str, ...],
    *,
    quick: bool,
    photos: Path | None,
    machine: str,
    minutes: float | None,
    count: int | None,
) -> None:
    names, revision = _without_revision(names)
    for name in names:
        if name not in benchmarks.NAMES:
            known = ", ".join(benchmarks.NAMES)
            raise CommandError(f"'{name}' is not a benchmark: choose from {known}.")
    if photos is not None and not any(photos.rglob("*.jpg")):
        raise CommandError(f"'{photos}' has no *.jpg files: name a folder of photos.")
    # Packages of these modules are installed for this command only.
    from bench.revision import require_committed, resolve
    from bench.run import run

    if revision:
        resolve(revision)
        require_committed()
    minutes = minutes or (0.2 if quick else 30)
    run(
        names,
        quick=quick,
        photos=photos,
        machine=machine,
        minutes=minutes,
        count=count,
        revision=revision,
    )


def _without_revision(names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Take the revision from behind `compare`, which is measured alone."""
    match names:
        case ("compare", revision) if revision != "compare":
            return ("compare",), revision
        case _ if "compare" in names:
            raise CommandError(
                "'compare' takes one revision and no other benchmark, for example "
                "'./pipeline bench compare HEAD~20'."
            )
    return names, ""
