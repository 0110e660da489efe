"""Time of three chained pipelines, to that of the slowest of them alone."""

import time

from bench.benchmark import Result, Setup
from bench.passes import Passes, query
from bench.table import Table
from bench.testbed import Testbed
from bench.workflow import configure, package

TITLE = "Chained pipelines"
TEXT = """Objects of 1 KB pass through `copy`, a transform that takes 80 ms of CPU (as finding
faces in a photo does), and `copy`, each pipeline with a pass of its own, as on a machine.
Wall-clock seconds from the start of the passes until the last job is recorded, against the same
objects in the second pipeline's input bucket alone. `rclone serve s3` and PostgreSQL share the
cores."""

_STAGES = ("negatives", "slow", "last")


def measure(setup: Setup) -> Result:
    """Measure 10,000 objects, 200 if `quick`."""
    count = 200 if setup.quick else 10_000
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
        ["the second alone", f"{alone:.1f}", f"{count / alone:.1f}", "1.00"],
        ["all three", f"{together:.1f}", f"{count / together:.1f}", f"{together / alone:.2f}"],
    ]
    table = Table("", [f"{count:,} objects", "seconds", "a second", "×"], lines)
    return Result([table], {"chain s": together, "slowest s": alone})


def _alone(testbed: Testbed, count: int) -> float:
    """Return the seconds that the second pipeline takes without the others."""
    pipeline = testbed.pipeline
    readers = pipeline.tables["pipelines.slow"].pop("readers")
    bucket = str(pipeline.tables["pipelines.slow"]["input"])
    testbed.fill(count, _upload, bucket)
    begun = time.monotonic()
    with Passes(pipeline, "slow") as passes:
        passes.await_done("slow", count)
        seconds = time.monotonic() - begun
    pipeline.tables["pipelines.slow"]["readers"] = readers
    query(pipeline, "DELETE FROM pipeline.results RETURNING job_id")
    return seconds


def _together(testbed: Testbed, count: int) -> float:
    testbed.fill(count, _upload)
    begun = time.monotonic()
    with Passes(testbed.pipeline, *_STAGES) as passes:
        passes.await_done("last", count)
        return time.monotonic() - begun


def _upload(number: int) -> tuple[str, bytes]:
    return f"{number:06}.bin", number.to_bytes(4) * 256
