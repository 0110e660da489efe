"""What the queue between machines costs: CPU per photograph with it and without.

`./pipeline bench queue`
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from bench import dispatch, fleet_usage
from bench.benchmark import Result, Setup
from bench.fleet import Fleet
from bench.fleet_usage import FleetUsage
from bench.photos import SIZES, PhotoSet
from bench.pipeline import WorkerPipeline
from bench.spread import with_spread
from bench.table import Table
from bench.testbed import Testbed

TITLE = "CPU of the queue"
TEXT = """Photographs of 2 MP (JPEG, quality 90, all of distinct bytes) that arrive at once when the
workers are ready; `rclone serve s3`, PostgreSQL. Turn by turn: one machine without the queue; one
machine with it, because the ledger shows a second live one, which does nothing; and two machines
with it. CPU is from the arrival until the last upload is deleted, of the workers' processes without
their start, and of PostgreSQL; of figures and of ratios within a turn the median, the least and
the largest."""

WITHOUT, ALONE, TWO = "one machine without the queue", "one machine with it", "two machines with it"
_IDLE = """
INSERT INTO pipeline.heartbeats (stack, pipeline, machine, last_pass, live)
VALUES (%s, 'negatives', 'idle', now(), true)
ON CONFLICT (stack, pipeline, machine) DO UPDATE SET last_pass = now()
"""
_ANNOUNCE_SECONDS = 5
_SESSIONS = """
SELECT count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def measure(setup: Setup) -> Result:
    """Alternate the three ways."""
    turns, count = (1, 8) if setup.quick else (5, 500)
    count = setup.count or count
    ways: Sequence[str] = (WITHOUT, ALONE) if setup.quick else (WITHOUT, ALONE, TWO)
    upload = PhotoSet(setup.photos).uploads(SIZES["P2"])
    found: dict[str, list[FleetUsage]] = {way: [] for way in ways}
    sessions = 0
    with Testbed(setup.folder / "testbed", setup.source) as testbed:
        for _ in range(turns):
            for way, each in found.items():
                with _fleet(testbed.pipeline, way) as fleet:
                    if way == ALONE:
                        [row] = testbed.pipeline.sql(_SESSIONS)
                        sessions = row["count"]
                    each.append(fleet_usage.measure(testbed, fleet, count, upload))
        lister = dispatch.measure(testbed, 2 if setup.quick else 50)
    lines: list[list[str]] = []
    figures: dict[str, float] = {
        "sessions": sessions,
        "keys a second": lister.keys,
        "keys: database ms": lister.database,
    }
    for way, each in found.items():
        workers = [one.cpu for one in each]
        databases = [one.database for one in each]
        totals = [one.cpu + one.database for one in each]
        times = _times(workers, [one.cpu for one in found[WITHOUT]])
        total_times = _times(totals, [one.cpu + one.database for one in found[WITHOUT]])
        lines.append(
            [
                *(way, f"{1000 / median(one.wall for one in each):.1f}"),
                *(with_spread(values) for values in (workers, times, databases, total_times)),
            ]
        )
        figures |= {
            f"{way}: CPU ms": median(workers),
            f"{way}: database ms": median(databases),
            f"{way}: store ms": median(one.store for one in each),
            f"{way}: times": median(times),
            f"{way}: times with PostgreSQL": median(total_times),
        }
    columns = ["what", "a second", "workers' CPU ms a photograph", "×", "PostgreSQL's"]
    columns += ["both, ×"]
    notes = [
        f"A lister assigns {lister.keys:,.0f} keys a second, for {lister.database:.3f} ms of"
        f" PostgreSQL's CPU each. A pass with the queue has {sessions} sessions with the database."
    ]
    return Result([Table("", columns, lines)], figures, notes=notes)


def _times(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value / other for value, other in zip(values, others, strict=True)]


@contextmanager
def _fleet(pipeline: WorkerPipeline, way: str) -> Iterator[Fleet]:
    pipeline.sql("DELETE FROM pipeline.heartbeats")  # nobody takes ended machines for live ones
    names = ["vm-1", "vm-2"] if way == TWO else ["vm-1"]
    ended = threading.Event()

    def announce() -> None:
        while not ended.wait(_ANNOUNCE_SECONDS):
            pipeline.sql(_IDLE, pipeline.name)

    announcer = threading.Thread(target=announce)
    if way == ALONE:
        pipeline.sql(_IDLE, pipeline.name)
        announcer.start()
    try:
        with Fleet(pipeline, names, ["negatives"], linger=3600, linked=False) as fleet:
            fleet.await_ready(dispatched=way != WITHOUT)
            yield fleet
            fleet.stop()
    finally:
        ended.set()
        if announcer.ident:
            announcer.join()
