"""What a pass costs an object, against how many objects wait."""

from collections.abc import Sequence

from bench.part import Request, Result
from bench.pictures import Gallery
from bench.plot import Lines
from bench.stage import Stage
from bench.table import Table

TITLE = "Growth"
TEXT = """One pass over photographs of 320 × 240 pixels (JPEG, under 20 KB, all of distinct bytes)
that wait in the input bucket; `rclone serve s3`, PostgreSQL. CPU is of the worker's processes;
that of the servers, on the same cores, stands apart; peak memory is the largest sum of PSS over
the worker's processes, looked at five times a second."""


def measure(request: Request) -> Result:
    """Up to 10,000 objects."""
    return grow(request, (100, 1000) if request.quick else (100, 1000, 10_000), "growth")


def grow(request: Request, counts: Sequence[int], name: str) -> Result:
    """Passes over so many objects."""
    uploads = Gallery(request.photos).uploads((320, 240))
    lines, figures = [], {}
    series: dict[str, list[tuple[float, float]]] = {
        what: [] for what in ("the worker's CPU", "the store's CPU", "wall clock")
    }
    with Stage(request.folder / "stage", request.source) as stage:
        for count in counts:
            stage.lay(count, uploads)
            store, database = stage.store_cpu(), stage.database_cpu()
            used = stage.drain()
            per_object = [
                1000 * each / count
                for each in (
                    used.cpu,
                    stage.store_cpu() - store,
                    used.seconds,
                    stage.database_cpu() - database,
                )
            ]
            for points, value in zip(series.values(), per_object, strict=False):
                points.append((count, value))
            lines.append(
                [
                    *(f"{count:,}", f"{used.seconds:.1f}", f"{count / used.seconds:.0f}"),
                    *(f"{per_object[i]:.2f}" for i in (0, 1, 3)),
                    f"{used.peak / 1e6:.0f}",
                ]
            )
            figures[f"{count}: CPU ms"] = per_object[0]
            figures[f"{count}: peak MB"] = used.peak / 1e6
    columns = ["objects", "seconds", "a second", "CPU ms an object", "store's", "database's"]
    columns += ["peak memory, MB"]
    axes = ("objects (logarithmic)", "milliseconds an object")
    plot = Lines(name, "What an object costs", *axes, series, logarithmic=True)
    return Result([Table("", columns, lines)], figures, [plot])
