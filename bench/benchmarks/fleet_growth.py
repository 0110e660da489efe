"""Cost per object of two machines, by the number of pending objects.

`./pipeline bench fleet-growth`
"""

from statistics import median

from bench import fleet_usage
from bench.benchmark import Result, Setup
from bench.fleet import Fleet
from bench.fleet_usage import FleetUsage
from bench.photos import PhotoSet
from bench.spread import least_to_largest
from bench.table import Table
from bench.testbed import Testbed

TITLE = "Growth to 100,000 objects, two machines"
TEXT = """Photographs of 256 × 192 pixels (JPEG, under 20 KB, all of distinct bytes) that arrive at
once, when the workers of two machines are ready; `rclone serve s3`, PostgreSQL. CPU is from the
arrival until the last job is recorded and its upload deleted: of both workers' processes, without
their start, and of the servers in separate columns; memory is the larger PSS of both workers at the
end. 1,000 objects: the median of three turns before and three after the 100,000."""

_SIZE = (256, 192)


def measure(setup: Setup) -> Result:
    """Measure 1,000 and 100,000 objects in one run."""
    few, many, turns = (20, 60, 1) if setup.quick else (1000, 100_000, 3)
    upload = PhotoSet(setup.photos).uploads(_SIZE)
    found: dict[int, list[FleetUsage]] = {few: [], many: []}
    memory: dict[int, float] = {}
    with Testbed(setup.folder / "testbed", setup.source) as testbed:
        fleet = Fleet(testbed.pipeline, ["vm-1", "vm-2"], ["negatives"], linger=3600, linked=False)
        with fleet:
            fleet.await_ready()
            for count in (*[few] * turns, many, *[few] * turns):
                found[count].append(fleet_usage.measure(testbed, fleet, count, upload))
                memory[count] = max(one.pss() for one in fleet.machines.values()) / 1e6
            fleet.stop()
    lines: list[list[str]] = []
    figures: dict[str, float] = {}
    for count, each in found.items():
        wall, cpu, store, database = (
            median(getattr(one, name) for one in each)
            for name in ("wall", "cpu", "store", "database")
        )
        cpus = [one.cpu for one in each]
        lines.append(
            [
                *(f"{count:,}", f"{wall * count / 1000:.1f}", f"{1000 / wall:.0f}", f"{cpu:.2f}"),
                *(least_to_largest(cpus), f"{store:.2f}", f"{database:.2f}"),
                f"{memory[count]:.0f}",
            ]
        )
        figures |= {f"{count}: CPU ms": cpu, f"{count}: database ms": database}
        figures[f"{count}: MB"] = memory[count]
    columns = ["objects", "seconds", "a second", "CPU ms an object", "spread", "store's"]
    columns += ["database's", "memory, MB"]
    return Result([Table("", columns, lines)], figures)
