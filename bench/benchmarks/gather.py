"""Seconds from the last job of a run until the job that gathers its results starts."""

from statistics import median

from bench.benchmark import Result, Setup
from bench.passes import Passes
from bench.table import Table
from bench.testbed import Testbed
from bench.workflow import make_workflow, package

TITLE = "Gather"
TEXT = """A text of 200 lines is split, a job is done on each line, and one job reads all 200
results; each pipeline has a pass of its own, as on a machine. Seconds from when the last of the 200
jobs is recorded until the job on all of them starts to download, by the database's clock."""

_SPLITS = 200
_STARTED = """
SELECT
    extract(EPOCH FROM m.created_at - make_interval(secs => m.seconds) - t.ended)::float8 AS seconds
FROM pipeline.results AS m
INNER JOIN (
    SELECT run_id, max(created_at) AS ended FROM pipeline.results
    WHERE pipeline = 'train' GROUP BY run_id
) AS t USING (run_id)
WHERE m.pipeline = 'model' ORDER BY m.id
"""


def measure(setup: Setup) -> Result:
    """Measure ten runs, one of 20 lines if `quick`."""
    runs, splits = (1, 20) if setup.quick else (10, _SPLITS)
    source = package(setup.folder / "package", setup.source)
    with Testbed(setup.folder / "testbed", source) as testbed:
        pipeline = testbed.pipeline
        make_workflow(pipeline, source)
        with Passes(pipeline, "negatives", "train", "model") as passes:
            for number in range(runs):
                lines = "\n".join(f"{number}-{line}" for line in range(splits))
                pipeline.s3.put_object(
                    Bucket=pipeline.input, Key=f"{number}.txt", Body=lines.encode()
                )
                passes.await_done("model", number + 1)
        found = [row["seconds"] for row in pipeline.sql(_STARTED)]
    cells = [f"{value:.2f}" for value in (min(found), median(found), max(found))]
    table = Table("", ["runs", "least, s", "median, s", "largest, s"], [[str(runs), *cells]])
    return Result([table], {"start s": max(found)})
