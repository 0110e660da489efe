"""Seconds from a PUT until its result, by an idle fleet of three machines.

`./pipeline bench fleet-latency`
"""

from bench import arrivals
from bench.benchmark import Result, Setup
from bench.fleet import Fleet
from bench.photos import SIZES, PhotoSet
from bench.table import Table
from bench.testbed import Testbed

TITLE = "Latency of an idle fleet"
TEXT = """Workers of three machines with nothing else to do, `rclone serve s3` and PostgreSQL on
this computer. Photographs of 2 MP (JPEG, quality 90) arrive at random (exponential gaps, 2 s on
average), the same for every run: first by the one machine that works without the queue, then by the
fleet. A latency is from before the PUT until HEAD finds the result, asked for every 25 ms."""

_MACHINES = 3


def measure(setup: Setup) -> Result:
    """Measure five minutes of arrivals of each, four seconds of the fleet's if `quick`."""
    duration, counts = (4.0, (_MACHINES,)) if setup.quick else (300.0, (1, _MACHINES))
    upload = PhotoSet(setup.photos).uploads(SIZES["P2"])
    lines: list[list[str]] = []
    figures: dict[str, float] = {}
    with Testbed(setup.folder / "testbed", setup.source) as testbed:
        pipeline = testbed.pipeline
        buckets = arrivals.Buckets(pipeline.s3, pipeline.input, pipeline.output)
        for count in counts:
            testbed.fill(0, upload)  # empties the output bucket
            names = [f"vm-{number + 1}" for number in range(count)]
            with Fleet(pipeline, names, ["negatives"], linger=3600, linked=False) as fleet:
                fleet.await_ready()
                found = arrivals.latencies(buckets, upload, duration)
                fleet.stop()
            middle, late = arrivals.median_and_p99(found)
            values = (f"{value:.2f}" for value in (middle, late, found[0], found[-1]))
            lines.append([str(count), str(len(found)), *values])
            figures |= {f"{count}: median s": middle, f"{count}: p99 s": late}
    columns = ["machines", "arrivals", "median, s", "p99, s", "least, s", "largest, s"]
    return Result([Table("", columns, lines)], figures)
