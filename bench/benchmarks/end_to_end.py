"""Pictures per second from input bucket to output bucket, compared with the tutorial."""

from statistics import median

from bench.benchmark import Result, Setup
from bench.errors import NotInstalled
from bench.photos import SIZES, PhotoSet
from bench.plots import Bars
from bench.spread import least_to_largest
from bench.table import Table
from bench.testbed import Testbed
from bench.tutorial import Tutorial

TITLE = "End to end, against the tutorial's script"
TEXT = """Photographs of 2 MP (JPEG, quality 90, all of distinct bytes) in the input bucket, one
`rclone serve s3` (files on disk) and one PostgreSQL for all. Ours: one pass, `python -m worker
drain`, its start included. The tutorial's script: `bench/tutorial/negate.sh` (s3cmd, convert,
psql, flock), its start included, cron's minute not. CPU is of the worker's, or the script's,
processes; that of the servers, on the same cores, is in separate columns."""


def measure(setup: Setup) -> Result:
    """Alternate the script with passes of the worker, then run one long pass."""
    uploads = PhotoSet(setup.photos).uploads(SIZES["P2"])
    turns, few, many, long = (1, 2, 8, 12) if setup.quick else (3, 10, 500, 2000)
    ours, notes, lines = "ours", [], []
    rates: dict[str, list[float]] = {}
    figures: dict[str, float] = {}
    with Testbed(setup.folder / "testbed", setup.source) as testbed:
        runs = {ours: (many, testbed.drain)}
        try:
            tutorial = Tutorial(testbed, setup.folder / "tutorial")
            runs["the script without its sleep"] = (few, lambda: tutorial.run(0))
            runs["the script"] = (few, lambda: tutorial.run(1))
        except NotInstalled as error:
            notes.append(str(error))
        plan = [*(list(runs) * turns), "ours, a long pass"]
        runs["ours, a long pass"] = (long, testbed.drain)
        found: dict[str, list[tuple[float, ...]]] = {}
        for name in plan:
            count, run = runs[name]
            testbed.fill(count, uploads)
            store, database = testbed.store_cpu(), testbed.database_cpu()
            used = run()
            per_image = [
                1000 * each / count
                for each in (
                    used.cpu,
                    testbed.store_cpu() - store,
                    testbed.database_cpu() - database,
                )
            ]
            rates.setdefault(name, []).append(count / used.seconds)
            found.setdefault(name, []).append((used.seconds, *per_image, used.peak / 1e6))
    for name, each in found.items():
        seconds, worker, store, database, peak = (
            median(values) for values in zip(*each, strict=True)
        )
        spread = least_to_largest(rates[name])
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
                f"({least_to_largest(of_turns, 0)} in {turns} turns)."
            )
    columns = ["what", "photographs", "seconds", "a second", "spread", "CPU ms an image"]
    columns += ["store's", "database's", "peak memory, MB"]
    values = {name: {"": (median(each), min(each), max(each))} for name, each in rates.items()}
    plot = Bars(
        *("end-to-end", "Photographs of 2 MP, end to end", "a second (logarithmic)", values),
        base=0.1,
    )
    return Result([Table("", columns, lines)], figures, [plot], notes)
