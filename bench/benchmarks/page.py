"""Server time of the page's views, with a million results in the ledger."""

import re
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg

from bench.benchmark import Result, Setup
from bench.browser import Browser, browser
from bench.pipeline import WorkerPipeline
from bench.table import Table
from bench.testbed import Testbed

TITLE = "The page"
TEXT = """Two pipelines with a million results of 30 days (a hundredth with `--quick`) and six
machines' heartbeats; each view is asked for by one client, one request after another, over a kept
connection, and timed from the request to the last byte of the response. `rclone serve s3`,
PostgreSQL and the page share the cores. Deep pages begin in the middle of the ledger; a search that
finds nothing reads as many rows as one may."""

_RESULTS = 1_000_000
_REQUESTS = 100
_PATIENCE_SECONDS = 120
_FILL = Path(__file__).parent.parent / "ledger_rows.sql"


def measure(setup: Setup) -> Result:
    """Measure each view."""
    count = setup.count or (_RESULTS // 100 if setup.quick else _RESULTS)
    with Testbed(setup.folder / "testbed", setup.source) as testbed:
        pipeline = testbed.pipeline
        small = {kind: f"{pipeline.name}-small-{kind}" for kind in ("input", "output")}
        for bucket in small.values():
            pipeline.make_bucket(bucket)
        pipeline.tables = {
            "pipeline": {"readers": ["small"]},
            "pipelines.small": {"transform": "thumbnail", "sources": ["negatives"], **small},
        }
        pipeline.configure()
        _fill(pipeline, count)
        with browser(pipeline) as client:
            _await_counts(client, count)
            times = {
                name: sorted(client.seconds(path) for _ in range(_REQUESTS))
                for name, path in _views(pipeline, client).items()
            }
    columns = ["view", "median, ms", "p99, ms", "largest, ms"]
    lines, figures = [], {}
    for name, found in times.items():
        middle, late = statistics.median(found), found[int(0.99 * len(found)) - 1]
        lines.append([name, *(f"{1000 * one:.1f}" for one in (middle, late, found[-1]))])
        figures[f"{name}: p99 ms"] = 1000 * late
    figures["p99 ms"] = max(figures.values())
    return Result([Table(f"{count:,} results", columns, lines)], figures)


def _fill(pipeline: WorkerPipeline, count: int) -> None:
    text = _FILL.read_bytes()
    with psycopg.connect(pipeline.server.dsn(pipeline.database), autocommit=True) as connection:
        for each in text.split(b";\n"):
            if each.strip():
                connection.execute(each, {"stack": pipeline.name, "count": count})
        connection.execute("VACUUM ANALYZE")


def _views(pipeline: WorkerPipeline, client: Browser) -> Mapping[str, str]:
    """Return the paths of the views by what they show."""
    query = "SELECT {} FROM pipeline.results WHERE pipeline = 'negatives' AND outcome = '{}' {}"
    newest = "ORDER BY created_at DESC LIMIT 1"
    middle = "AND created_at < now() - interval '15 days' " + newest
    place = "(extract(epoch FROM created_at) * 1000000)::bigint || '-' || id AS place"
    deep = pipeline.sql(query.format(place, "done", middle))[0]["place"]
    job = pipeline.sql(query.format("job_id, key", "done", middle))[0]
    quarantined = pipeline.sql(query.format("job_id", "quarantined", newest))[0]["job_id"]
    return {
        "overview": "/",
        "a pipeline": "/pipelines/negatives",
        "results": "/results",
        "results of a pipeline": "/results?pipeline=small",
        "results, deep": f"/results?before={deep}",
        "results, search": "/results?q=none-such",
        "jobs": "/jobs",
        "jobs, deep": f"/jobs?before={deep}",
        "quarantined jobs": "/jobs?state=quarantined",
        "jobs, search": "/jobs?q=none-such",
        "jobs of a name": f"/jobs?q={quote(job['key'], safe='')}",
        "a job": f"/jobs/{job['job_id']}",
        "a quarantined job": f"/jobs/{quarantined}",
        "confirmation": f"/jobs/change?action=drop&job={quarantined}",
        "upload": "/upload",
    }


def _await_counts(client: Browser, count: int) -> None:
    """Wait until the overview shows the ledger's counts: the first ones read the whole ledger."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    done = 0
    while done < 0.98 * count:  # the rest is quarantined
        found = re.findall(r"<dt>Done</dt><dd>([\d,]+)</dd>", client.get("/").decode())
        done = sum(int(one.replace(",", "")) for one in found)
        if time.monotonic() > deadline:
            raise RuntimeError(f"the overview shows {done} of {count} results")
        time.sleep(0.2)
