"""A machine of three that is killed, frozen or cut off in the middle of 1,000 jobs.

`./pipeline bench fleet-faults`
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.benchmark import Result, Setup
from bench.fleet import Fleet, Machine
from bench.pipeline import WorkerPipeline
from bench.table import Table
from bench.testbed import Testbed
from bench.workflow import package

TITLE = "A machine that fails in the middle of 1,000 jobs"
TEXT = """Objects of 1 KB and a transform that waits, so that three machines on this computer do
about 20 a second; `rclone serve s3`, PostgreSQL. When half of the jobs are done, the machine that
lists is killed (SIGKILL to all of its processes, no restart), frozen (SIGSTOP to all, until the
rest is done), or cut off (its links to both servers drop every packet, until the rest is done).
Delay: from the fault until the last job is recorded that the machine had begun or been assigned.
Beyond the rest: from the fault until the last of all jobs is recorded, less the time that the
remaining machines need for the rest at the rate before the fault. A machine that was frozen or cut
off goes on afterwards; then each object must have one row, and the input bucket must be empty."""

_NAMES = ["vm-1", "vm-2", "vm-3"]
_WAIT_SECONDS = 0.25
_WAIT = f"""
import time
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    time.sleep({_WAIT_SECONDS})
    (outputs / "content").write_bytes(inputs[0].path.read_bytes())
    return Produced([(outputs / "content", "application/octet-stream")])
"""
_AFTERWARDS_SECONDS = 15  # for a machine to notice that it was gone
_LOOK_SECONDS = 0.2
_LISTER = "SELECT machine FROM pipeline.listers"
_DONE = "SELECT count(*) FROM pipeline.results"
# Keys under a lease of the machine, or of tasks that its worker has fetched. A worker's row does
# not name its machine, but a task that has begun holds a lease on at least one of its keys.
_HAD = """
WITH leased AS (
    SELECT key_sha256 FROM pipeline.leases WHERE machine = %s
), held AS (
    SELECT j.worker_id
    FROM leased INNER JOIN pipeline.assignments AS a USING (key_sha256)
    INNER JOIN pipeline.procrastinate_jobs AS j ON a.task_id = j.id
)
SELECT key_sha256 FROM leased
UNION
SELECT a.key_sha256
FROM pipeline.assignments AS a INNER JOIN pipeline.procrastinate_jobs AS j ON a.task_id = j.id
WHERE j.worker_id IN (SELECT worker_id FROM held)
"""
_ENDS = """
WITH given AS (
    SELECT %s::timestamptz AS fault, %s::bytea[] AS had
)
SELECT
    count(*) AS rows,
    count(DISTINCT key) AS keys,
    count(*) FILTER (WHERE outcome = 'done') AS done,
    extract(epoch FROM max(created_at - fault))::float AS all_seconds,
    extract(
        epoch FROM
        max(created_at - fault) FILTER (WHERE sha256(convert_to(key, 'UTF8')) = any(had))
    )::float AS had_seconds
FROM pipeline.results, given
"""


@dataclass(frozen=True)
class _Fault:
    begin: Callable[[Machine], None]
    end: Callable[[Machine], None] | None = None


def _cut(machine: Machine) -> None:
    for link in machine.links.values():
        link.cut()


def _mend(machine: Machine) -> None:
    for link in machine.links.values():
        link.mend()


_FAULTS = {
    "killed": _Fault(Machine.kill),
    "frozen": _Fault(Machine.freeze, Machine.thaw),
    "cut off": _Fault(_cut, _mend),
}


def measure(setup: Setup) -> Result:
    """Measure each fault, one of them if `quick`."""
    count, names = (60, ["killed"]) if setup.quick else (1000, list(_FAULTS))
    source = package(setup.folder / "package", setup.source, {"wait": (_WAIT, "picture")})
    lines: list[list[str]] = []
    figures: dict[str, float] = {}
    with Testbed(setup.folder / "testbed", source) as testbed:
        testbed.pipeline.tables["pipeline"] = {"transform": "wait"}
        for name in names:
            delay, beyond, rows = _run(testbed, count, _FAULTS[name])
            lines.append([name, f"{rows:,}", f"{rows - count}", f"{delay:.1f}", f"{beyond:.1f}"])
            figures |= {
                f"{name}: rows too many": rows - count,
                f"{name}: delay s": delay,
                f"{name}: beyond the rest s": beyond,
            }
    columns = ["the machine is", "rows", "too many", "delay, s", "beyond the rest, s"]
    return Result([Table("", columns, lines)], figures)


def _run(testbed: Testbed, count: int, fault: _Fault) -> tuple[float, float, int]:
    """Return the delay, the seconds beyond the rest, and the number of rows."""
    pipeline = testbed.pipeline
    pipeline.sql("DELETE FROM pipeline.results")
    pipeline.sql("DELETE FROM pipeline.heartbeats")
    with Fleet(pipeline, _NAMES, ["negatives"], linger=3600) as fleet:
        fleet.await_ready()
        testbed.fill(count, lambda number: (f"{number:06}.bin", number.to_bytes(4) * 256))
        while (done := _count(pipeline)) < count // 2:
            time.sleep(_LOOK_SECONDS)
        [rate] = pipeline.sql(
            "SELECT count(*) / extract(epoch FROM max(created_at) - min(created_at))::float AS rate"
            " FROM pipeline.results"
        )
        [lister] = pipeline.sql(_LISTER)
        machine = fleet.machines[lister["machine"]]
        [row] = pipeline.sql("SELECT now() AS fault")
        had = [one["key_sha256"] for one in pipeline.sql(_HAD, machine.name)]
        fault.begin(machine)
        testbed.await_empty()
        if fault.end:
            fault.end(machine)
            time.sleep(_AFTERWARDS_SECONDS)
            testbed.await_empty()
        fleet.stop()
    [ends] = pipeline.sql(_ENDS, row["fault"], had)
    if not ends["keys"] == ends["done"] == count:
        raise RuntimeError(f"{ends['done']} jobs for {ends['keys']} of {count} objects were done")
    rest = (count - done) / (rate["rate"] * (len(_NAMES) - 1) / len(_NAMES))
    return ends["had_seconds"], ends["all_seconds"] - rest, ends["rows"]


def _count(pipeline: WorkerPipeline) -> int:
    [row] = pipeline.sql(_DONE)
    return int(row["count"])
