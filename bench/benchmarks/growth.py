"""Cost per object of a pass, by the number of pending objects."""

from collections.abc import Sequence
from statistics import median

from bench.benchmark import Result, Setup
from bench.photos import PhotoSet
from bench.plots import Lines
from bench.spread import least_to_largest, with_spread
from bench.table import Table
from bench.testbed import Testbed

TITLE = "Growth"
TEXT = """One pass over photographs of 256 × 192 pixels (JPEG, under 20 KB, all of distinct bytes)
that wait in the input bucket, in one folder; `rclone serve s3`, PostgreSQL. CPU is of the worker's
processes; that of the servers, on the same cores, is in separate columns; peak memory is the
largest sum of PSS over the worker's processes, five times a second. Medians of three turns, with
the least and the largest of the CPU; a turn is a pass over each number of objects."""

_SIZE = (256, 192)
_TURNS = 3


def measure(setup: Setup) -> Result:
    """Measure passes over up to 10,000 objects."""
    return grow(setup, (10, 100) if setup.quick else (100, 1000, 10_000), "growth")


def grow(setup: Setup, counts: Sequence[int], name: str) -> Result:
    """Measure passes over each number of objects.

    Args:
        setup: How to measure.
        counts: Numbers of objects, two or more, ascending.
        name: Of the plot.

    Returns:
        Table, figures and plot; the ratio is of the most objects to the next fewer.
    """
    uploads = PhotoSet(setup.photos).uploads(_SIZE)
    turns = 1 if setup.quick else _TURNS
    found: dict[int, list[tuple[float, ...]]] = {count: [] for count in counts}
    with Testbed(setup.folder / "testbed", setup.source) as testbed:
        for _ in range(turns):
            for count in counts:
                testbed.fill(count, uploads)
                store, database = testbed.store_cpu(), testbed.database_cpu()
                used = testbed.drain()
                servers = (testbed.store_cpu() - store, testbed.database_cpu() - database)
                each = (1000 * value / count for value in (used.cpu, *servers, used.seconds))
                found[count].append((*each, used.peak / 1e6))
    lines, figures = [], {}
    series: dict[str, list[tuple[float, float]]] = {
        what: [] for what in ("the worker's CPU", "the store's CPU", "wall clock")
    }
    for count, passes in found.items():
        cpus, *others = zip(*passes, strict=True)
        cpu, (store, database, wall, peak) = median(cpus), (median(each) for each in others)
        for points, value in zip(series.values(), (cpu, store, wall), strict=True):
            points.append((count, value))
        lines.append(
            [
                *(f"{count:,}", f"{wall * count / 1000:.1f}", f"{1000 / wall:.0f}"),
                *(f"{cpu:.2f}", least_to_largest(cpus)),
                *(f"{store:.2f}", f"{database:.2f}", f"{peak:.0f}"),
            ]
        )
        figures[f"{count}: CPU ms"] = cpu
        figures[f"{count}: peak MB"] = peak
    columns = ["objects", "seconds", "a second", "CPU ms an object", "spread", "store's"]
    columns += ["database's", "peak memory, MB"]
    axes = ("objects (logarithmic)", "milliseconds an object")
    plot = Lines(name, "What an object costs", *axes, series, logarithmic=True)
    *_, fewer, most = counts
    ratios = [own[0] / other[0] for own, other in zip(found[most], found[fewer], strict=True)]
    figures["CPU ratio"] = median(ratios)
    note = f"CPU an object, {most:,} to {fewer:,} objects, in {turns} turns: {with_spread(ratios)}."
    return Result([Table("", columns, lines)], figures, [plot], [note])
