"""The transform in sandboxed processes, as in the worker, compared with threads of one process.

`./pipeline bench threads`
"""

import subprocess
import sys
from statistics import median

from bench import usage
from bench.benchmark import Result, Setup
from bench.photos import ROOT, SIZES, PhotoSet
from bench.pooled_drain import PROCESSES, THREADS
from bench.spread import least_to_largest, with_spread
from bench.table import Table
from bench.testbed import Testbed
from bench.usage import Usage

TITLE = "Threads against processes"
TEXT = """The same pass over photographs of 2 MP (JPEG, quality 90) with its transforms in
sandboxed processes, one a core, as the worker runs them, and in as many threads of the worker's own
process (`bench/pooled_drain.py`); the kernels are called through ctypes, which releases
Python's GIL. Turn by turn, after one that is not counted; of ratios and figures the median, the
least and the largest."""


def measure(setup: Setup) -> Result:
    """Alternate both ways over the same photographs."""
    uploads = PhotoSet(setup.photos).uploads(SIZES["P2"])
    turns, count = (1, 4) if setup.quick else (7, 400)
    found: dict[str, list[Usage]] = {PROCESSES: [], THREADS: []}
    with Testbed(setup.folder / "testbed", setup.source) as testbed:
        for turn in range(turns + 1):
            for way, each in found.items():
                testbed.fill(count, uploads)
                used = _drain(testbed, way)
                if turn:
                    each.append(used)
    lines = [
        [
            f"{way}, {what}",
            *_spread(*(count / one.seconds for one in each), digits=1),
            *_spread(*(1000 * one.cpu / count for one in each), digits=2),
            f"{median(one.peak for one in each) / 1e6:.0f}",
        ]
        for way, each, what in (
            (PROCESSES, found[PROCESSES], "as it is"),
            (THREADS, found[THREADS], "without a sandbox"),
        )
    ]
    pairs = list(zip(found[PROCESSES], found[THREADS], strict=True))
    faster = [own.seconds / other.seconds for own, other in pairs]
    cheaper = [other.cpu / own.cpu for own, other in pairs]
    note = (
        f"Threads to processes in {turns} turns of {count} photographs: "
        f"{with_spread(faster)} times the photographs a second, "
        f"{with_spread(cheaper)} times the CPU."
    )
    columns = ["transforms in", "a second", "spread", "CPU ms an image", "spread"]
    columns += ["peak memory, MB"]
    figures = {"times the rate": median(faster), "times the CPU": median(cheaper)}
    return Result([Table("", columns, lines)], figures, notes=[note])


def _drain(testbed: Testbed, way: str) -> Usage:
    """Run one pass, which must empty the input bucket."""
    pipeline = testbed.pipeline
    path = f"{pipeline.environment['PYTHONPATH']}:{ROOT}"  # the worker with kernels, our module
    with (pipeline.folder / "pass.log").open("w", encoding="utf-8") as log:
        used = usage.measure(
            lambda: subprocess.Popen(
                [sys.executable, "-m", "bench.pooled_drain", str(pipeline.settings), way],
                stdout=log,
                text=True,
                cwd=pipeline.folder,
                env={**pipeline.environment, "PYTHONPATH": path},
            )
        )
    if left := pipeline.left():
        raise RuntimeError(f"{len(left)} objects were left in the input bucket")
    return used


def _spread(*values: float, digits: int) -> tuple[str, str]:
    return f"{median(values):.{digits}f}", least_to_largest(values, digits)
