"""Run benchmarks, print their results and write them into docs/measurements.md."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench import benchmarks, capacity, host, scratch, targets
from bench.benchmark import Benchmark, Result, Setup
from bench.errors import RevisionUnusable
from bench.measurements import Measurements
from bench.photos import PACKAGED, ROOT, SAMPLES
from bench.plots import save
from bench.revision import resolve
from bench.table import Table
from cli.terminal import print_progress
from worker.transforms.negate import build

DOCUMENT = ROOT / "docs" / "measurements.md"


def run(
    names: Sequence[str],
    *,
    quick: bool,
    photos: Path | None,
    machine: str,
    minutes: float,
    count: int | None = None,
    revision: str = "",
) -> None:
    """Run benchmarks and report them.

    Args:
        names: Benchmarks; empty for the usual ones.
        quick: Measure little, and leave docs/measurements.md as it is.
        photos: Folder of photographs; None for Debian's package or the samples.
        machine: Kind of machine of the local stack, where a benchmark deploys one.
        minutes: How long `soak` lasts.
        count: How many objects are measured, where that can be chosen.
        revision: What `compare` measures against.
    """
    photos = photos or (PACKAGED if PACKAGED.is_dir() else SAMPLES)
    names = names or (benchmarks.QUICK if quick else benchmarks.USUAL)
    document, measured = Measurements(DOCUMENT), {}
    print(f"{host.describe()}.")
    with scratch.folder() as place:
        source = _source(place)
        for name in names:
            print_progress(f"Measuring {name} …")
            benchmark, before = benchmarks.load(name), host.load_average()
            folder = place / name
            folder.mkdir()
            result = benchmark.measure(
                Setup(folder, source, photos, quick, machine, minutes, count, revision)
            )
            load = f"load {before:.1f} before, {host.load_average():.1f} after"
            plots = [save(plot, folder if quick else document.folder) for plot in result.plots]
            shutil.rmtree(folder)
            _print(benchmark, result, load)
            measured[name] = dict(result.figures)
            if not quick:
                # Each revision has a section: a comparison does not replace another's.
                title = f"{name} {revision}".strip()
                document.remember(title, result.figures)
                command = f"./pipeline bench {title}" + (
                    "" if photos == PACKAGED else " --photos FOLDER"
                )
                document.write(title, _section(benchmark, result, plots, load, command))
    if not quick:
        table = targets.evaluate(document.figures())
        document.write("targets", table.markdown())
        print(f"\n{table.text()}")
        Measurements(capacity.DOCUMENT).write("capacity", capacity.text(document.figures()))


def _source(place: Path) -> Path:
    """Copy the worker's code; where no prebuilt kernels load, compile some in this checkout."""
    if warning := build.prepare():
        print_progress(warning)
    source = place / "source"
    shutil.copytree(
        ROOT / "worker", source / "worker", ignore=shutil.ignore_patterns("__pycache__")
    )
    return source


def _print(benchmark: Benchmark, result: Result, load: str) -> None:
    print(f"\n{benchmark.TITLE} ({load})")
    for table in (*result.tables, *result.details):
        print(f"\n{table.text()}")
    for note in result.notes:
        print(note)


def _section(
    benchmark: Benchmark, result: Result, plots: Sequence[Path], load: str, command: str
) -> str:
    try:
        commit = resolve("HEAD")
    except RevisionUnusable:
        commit = "unknown"
    blocks = [
        f"## {benchmark.TITLE}",
        benchmark.TEXT,
        *(f"![{path.stem}]({path.name})" for path in plots),
        *(table.markdown().strip() for table in result.tables),
        *_folded(result.details),
        *result.notes,
        f"{host.describe()}; {load}; commit {commit}.",
        f"    {command}",
    ]
    return "\n\n".join(blocks)


def _folded(tables: Sequence[Table]) -> list[str]:
    """Fold tables as GitHub does; it renders them only between blank lines."""
    if not tables:
        return []
    inside = (table.markdown().strip() for table in tables)
    return ["<details><summary>In full</summary>", *inside, "</details>"]
