"""Time of three chained pipelines, to that of the slowest of them alone."""

import time

from bench.benchmark import Result, Setup
from bench.passes import Passes
from bench.table import Table
from bench.testbed import Testbed
from bench.workflow import configure, package

TITLE = "Chained pipelines"
TEXT = """Objects of 1 KB pass through `copy`, a transform that takes 80 ms of CPU (as finding
faces in a photo does), and `copy`, each pipeline with a pass of its own, as on a machine.
Wall-clock seconds from the start of the passes until the last job is recorded, against the same
objects in the second pipeline's input bucket alone; and the CPU of all processes, of the servers
(`rclone serve s3`, PostgreSQL) too, which share the cores."""

_STAGES = ("negatives", "slow", "last")


def measure(setup: Setup) -> Result:
    """Measure 10,000 objects, 20 if `quick`."""
    count = 20 if setup.quick else 10_000
    source = package(setup.folder / "package", setup.source)
    with Testbed(setup.folder / "testbed", source) as testbed:
        configure(
            testbed.pipeline,
            source,
            {
                "negatives": {"transform": "copy", "readers": ["slow"]},
                "slow": {"transform": "busy", "sources": ["negatives"], "readers": ["last"]},
                "last": {"transform": "copy", "sources": ["slow"]},
            },
        )
        alone = _alone(testbed, count)
        together = _together(testbed, count)
    lines = [
        [
            name,
            f"{seconds:.1f}",
            f"{seconds / alone[0]:.2f}",
            f"{1000 * cpu / count:.1f}",
            f"{cpu / alone[1]:.2f}",
        ]
        for name, (seconds, cpu) in {"the second alone": alone, "all three": together}.items()
    ]
    columns = [f"{count:,} objects", "seconds", "×", "CPU ms an object", "×"]
    figures = {"chain s": together[0], "slowest s": alone[0]}
    return Result([Table("", columns, lines)], figures)


def _alone(testbed: Testbed, count: int) -> tuple[float, float]:
    """Return the seconds that the second pipeline takes without the others, and the CPU's."""
    pipeline = testbed.pipeline
    table = pipeline.tables["pipelines.slow"]
    readers = table.pop("readers")
    pipeline.configure()
    testbed.fill(count, _upload, str(table["input"]))
    used = _measured(testbed, count, "slow")
    table["readers"] = readers
    pipeline.configure()
    pipeline.sql("DELETE FROM pipeline.results")
    return used


def _together(testbed: Testbed, count: int) -> tuple[float, float]:
    testbed.fill(count, _upload)
    return _measured(testbed, count, *_STAGES)


def _measured(testbed: Testbed, count: int, *names: str) -> tuple[float, float]:
    """Return the seconds until the last pipeline has done all, and the CPU's, of all processes."""
    begun, servers = time.monotonic(), testbed.store_cpu() + testbed.database_cpu()
    with Passes(testbed.pipeline, *names) as passes:
        passes.await_done(names[-1], count)
        seconds = time.monotonic() - begun
        cpu = passes.cpu() + testbed.store_cpu() + testbed.database_cpu() - servers
    return seconds, cpu


def _upload(number: int) -> tuple[str, bytes]:
    return f"{number:06}.bin", number.to_bytes(4) * 256
