"""Images a second, from an upload in a bucket to its negative in another, against the tutorial."""

from statistics import median

from bench.missing import MissingError
from bench.part import Request, Result
from bench.pictures import SIZES, Gallery
from bench.plot import Bars
from bench.stage import Stage
from bench.table import Table
from bench.tutorial import Tutorial

TITLE = "End to end, against the tutorial's script"
TEXT = """Photographs of 2 MP (JPEG, quality 90, all of distinct bytes) in the input bucket, one
`rclone serve s3` (files on disk) and one PostgreSQL for all. Ours: one pass, `python -m worker
drain`, its start included. The tutorial's script: `bench/tutorial/negate.sh` (s3cmd, convert,
psql, flock), its start included, cron's minute not. CPU is of the worker's, or the script's,
processes; that of the servers, on the same cores, stands apart."""


def measure(request: Request) -> Result:
    """The script in turns with passes of ours, then one long pass."""
    uploads = Gallery(request.photos).uploads(SIZES["P2"])
    turns, few, many, long = (1, 3, 20, 60) if request.quick else (3, 10, 500, 2000)
    ours, notes, lines = "ours", [], []
    rates: dict[str, list[float]] = {}
    figures: dict[str, float] = {}
    with Stage(request.folder / "stage", request.source) as stage:
        runs = {ours: (many, stage.drain)}
        try:
            tutorial = Tutorial(stage, request.folder / "tutorial")
            runs["the script without its sleep"] = (few, lambda: tutorial.run(0))
            runs["the script"] = (few, lambda: tutorial.run(1))
        except MissingError as error:
            notes.append(str(error))
        plan = [*(list(runs) * turns), "ours, a long pass"]
        runs["ours, a long pass"] = (long, stage.drain)
        found: dict[str, list[tuple[float, ...]]] = {}
        for name in plan:
            count, run = runs[name]
            stage.lay(count, uploads)
            store, database = stage.store_cpu(), stage.database_cpu()
            used = run()
            per_image = [
                1000 * each / count
                for each in (
                    used.cpu,
                    stage.store_cpu() - store,
                    stage.database_cpu() - database,
                )
            ]
            rates.setdefault(name, []).append(count / used.seconds)
            found.setdefault(name, []).append((used.seconds, *per_image, used.peak / 1e6))
    for name, each in found.items():
        seconds, worker, store, database, peak = (
            median(values) for values in zip(*each, strict=True)
        )
        spread = f"{min(rates[name]):.2f}–{max(rates[name]):.2f}"
        lines.append(
            [
                *(name, str(runs[name][0]), f"{seconds:.1f}", f"{median(rates[name]):.2f}", spread),
                *(f"{worker:.1f}", f"{store:.1f}", f"{database:.1f}"),
                f"{peak:.0f}" if peak else "–",
            ]
        )
        figures[f"{name}: CPU ms"] = worker
    for name in list(rates):
        if name.startswith("the script"):
            of_turns = [own / other for own, other in zip(rates[ours], rates[name], strict=True)]
            figures[f"times {name}"] = median(of_turns)
            notes.append(
                f"Ours is {median(of_turns):.0f} times as fast as {name} "
                f"({min(of_turns):.0f}–{max(of_turns):.0f} in {turns} turns)."
            )
    columns = ["what", "photographs", "seconds", "a second", "spread", "CPU ms an image"]
    columns += ["store's", "database's", "peak memory, MB"]
    values = {name: {"": (median(each), min(each), max(each))} for name, each in rates.items()}
    plot = Bars(
        *("end-to-end", "Photographs of 2 MP, end to end", "a second (logarithmic)", values),
        base=0.1,
    )
    return Result([Table("", columns, lines)], figures, [plot], notes)
