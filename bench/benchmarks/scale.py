"""Jobs a second of 1, 2 and 4 machines with the same share of a core each.

`./pipeline bench scale`
"""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.benchmark import Result, Setup
from bench.cpu_shares import CpuShares
from bench.fleet import Fleet
from bench.plots import Lines
from bench.spread import least_to_largest
from bench.table import Table
from bench.testbed import Testbed
from bench.workflow import package
from worker.jobs.drain import available_cores

TITLE = "One to four machines"
TEXT = """Objects of 1 KB and a transform that takes 80 ms of CPU (as finding faces in a photo
does), with workers of 1, 2 and 4 machines on this computer, each with its transforms and all its
threads on a fixed share of a core, against one `rclone serve s3` and one PostgreSQL, which have
what is left. The objects arrive at once when all workers are ready. The rate is that from when each
machine has recorded its first job until nine jobs in ten are recorded; seconds are from the arrival
to the last job. Where the kernel's cpu controller cannot be used, the transform waits as long as
the share would take."""

_CPU_SECONDS, _SHARE, _JOBS = 0.08, 0.25, 160
_BUSY = f"""
import hashlib
import time
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    content, end = inputs[0].path.read_bytes(), time.process_time() + {_CPU_SECONDS}
    while time.process_time() < end:
        content = hashlib.sha256(content * 64).digest()
    (outputs / "digest").write_bytes(content)
    return Produced([(outputs / "digest", "application/octet-stream")])
"""
_WAIT = """
import time
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    time.sleep({seconds})
    (outputs / "content").write_bytes(inputs[0].path.read_bytes())
    return Produced([(outputs / "content", "application/octet-stream")])
"""
# Over the interval in which all machines work, without the end, when some have nothing left.
_RATE = """
WITH first AS (
    SELECT max(t) AS t FROM (
        SELECT min(created_at) AS t FROM pipeline.results GROUP BY worker
    ) AS each
), late AS (
    SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY created_at) AS t FROM pipeline.results
)
SELECT
    count(*) / extract(epoch FROM max(late.t) - max(first.t))::float AS rate,
    extract(epoch FROM (SELECT max(created_at) FROM pipeline.results) - %s)::float AS seconds,
    (SELECT count(DISTINCT worker) FROM pipeline.results) AS machines
FROM pipeline.results, first, late
WHERE created_at > first.t AND created_at <= late.t
"""


def measure(setup: Setup) -> Result:
    """Alternate the numbers of machines."""
    counts, turns, jobs = ((1, 2), 1, 16) if setup.quick else ((1, 2, 4), 3, _JOBS)
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    with CpuShares() as shares:
        code = _BUSY if shares.controller else _WAIT.format(seconds=_waiting())
        source = package(setup.folder / "package", setup.source, {"busy": (code, "picture")})
        with Testbed(setup.folder / "testbed", source) as testbed:
            testbed.pipeline.tables["pipeline"] = {"transform": "busy"}
            for turn in range(turns):
                for count in counts:
                    found[count].append(_run(testbed, shares, count, jobs, turn))
    share = f"{shares.controller}: {_SHARE:g} of a core each"
    return _result(found, share if shares.controller else "no cpu controller: waits")


def _waiting() -> float:
    """Return how long a transform waits so that all processes of a machine use its share."""
    return available_cores() * _CPU_SECONDS / _SHARE


def _run(testbed: Testbed, shares: CpuShares, count: int, jobs: int, turn: int) -> dict[str, float]:
    names = [f"vm-{number + 1}" for number in range(count)]
    enter = None
    if shares.controller:
        enter = {name: shares.enter(f"{turn}-{count}-{name}", _SHARE) for name in names}
    pipeline = testbed.pipeline
    pipeline.sql("DELETE FROM pipeline.results")
    servers = testbed.store_cpu() + testbed.database_cpu()
    with Fleet(pipeline, names, ["negatives"], linger=3600, linked=False, enter=enter) as fleet:
        fleet.await_ready()
        testbed.fill(count * jobs, lambda number: (f"{number:06}.bin", number.to_bytes(4) * 256))
        [row] = pipeline.sql("SELECT now() AS arrival")
        testbed.await_empty()
        fleet.stop()
    [found] = pipeline.sql(_RATE, row["arrival"])
    if found["machines"] != count:
        raise RuntimeError(f"{found['machines']} of {count} machines had work")
    servers = testbed.store_cpu() + testbed.database_cpu() - servers
    return {**found, "servers": servers / found["seconds"]}


def _result(found: Mapping[int, Sequence[Mapping[str, float]]], share: str) -> Result:
    rates = {count: [one["rate"] for one in each] for count, each in found.items()}
    lines: list[list[str]] = []
    figures: dict[str, float] = {}
    for count, each in found.items():
        ratios = [rate / alone for rate, alone in zip(rates[count], rates[1], strict=True)]
        seconds, servers = (median(one[name] for one in each) for name in ("seconds", "servers"))
        rate, ratio = median(rates[count]), median(ratios)
        lines.append(
            [
                *(str(count), share, f"{rate:.2f}", f"{ratio:.2f}"),
                *(least_to_largest(ratios), f"{seconds:.0f}", f"{servers:.2f}"),
            ]
        )
        figures |= {f"{count}: jobs a second": rate, f"{count}: times": ratio}
    columns = ["machines", "share", "jobs a second", "× one", "spread", "seconds"]
    columns += ["servers' cores"]
    points = [(count, figures[f"{count}: times"]) for count in found]
    plot = Lines(
        *("scale", "Machines of a fixed share of a core", "machines", "times one machine"),
        {"measured": points, "ideal": [(count, count) for count in found]},
    )
    return Result([Table("", columns, lines)], figures, [plot])
