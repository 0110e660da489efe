"""Jobs as text: a table of many, and all about one."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from cli.terminal import print_progress, print_result, print_section, print_table, visible
from worker.quantities import counted
from worker.uploads.job import short_id

#: How many lines are shown of texts and lists that may be long.
SHOWN_LINES = 20
_AHEAD = 1000  # rows that are held in memory
_Job = Mapping[str, Any]


def print_jobs(rows: Iterable[_Job]) -> None:
    """Print jobs in columns as they come, or a sentence if there are none.

    The run is a column if the first jobs belong to runs of several jobs.
    """
    rows = iter(rows)
    ahead = list(islice(rows, _AHEAD))
    if not ahead:
        print_progress("No jobs.")
        return
    heading = ["id", "pipeline", "state", "key", "time", "seconds", "result or reason"]
    has_runs = any(row["run"] != row["id"] for row in ahead)
    if has_runs:
        heading.insert(1, "run")
    cells = (_cells(row, has_runs=has_runs) for row in chain(ahead, rows))
    print_table(cells, heading, right={heading.index("seconds")})


def _cells(job: _Job, *, has_runs: bool) -> list[str]:
    seconds = "" if job["seconds"] is None else f"{job['seconds']:.3f}"
    named = tuple(job[name] for name in ("pipeline", "state", "key", "time"))
    end = job["reason"] or ", ".join(job["results"])
    if job["retried_by"]:
        end = f"retried as {short_id(job['retried_by'])}: {end}"
    elif job["state"] == "running":
        end = f"on {job['machine']}"
    run = [short_id(job["run"])] if has_runs else []
    return [short_id(job["id"]), *run, *named, seconds, end]


def print_job(job: _Job) -> None:
    """Print all about a job."""
    print_result(f"{visible(job['key'])} in {job['pipeline']}: {job['state']}", bold=True)
    print_table(_facts(job))
    print_result()
    print_table((one["time"], one["event"], one["text"]) for one in job["timeline"])
    print_section("notes", job["notes"])
    print_section("members", list(_members(job)), limit=SHOWN_LINES)
    print_section("lineage", list(_lineage(job)))
    print_section("input", (job["text"] or "").splitlines(), limit=SHOWN_LINES)
    print_section("log", (job["log"] or "").splitlines())


def _facts(job: _Job) -> Iterator[tuple[str, str]]:
    upload = job["input"]
    yield "job", job["id"]
    yield "run", job["run"]
    yield "input", f"{upload['bucket']}/{upload['key']}, {counted(upload['bytes'], 'byte')}"
    if upload["version_id"]:
        yield "", f"version {upload['version_id']}"
    if upload["sha256"]:
        yield "", f"sha256 {upload['sha256']}"
    yield "attempts", str(job["attempts"] if job["attempts"] is not None else "not recorded")
    if job["reason"]:
        yield "reason", job["reason"]
    for output in job["outputs"]:
        kind = f", {output['content_type']}" if output["content_type"] else ""
        where = f"{output['bucket']}/{output['key']}"
        yield f"result {output['number']}", f"{where}, {counted(output['bytes'], 'byte')}{kind}"
    if job["records"]:
        yield "records", str(job["records"])
    if job["retry_of"]:
        yield "repeats", short_id(job["retry_of"])
    if job["retried_by"]:
        yield "repeated by", short_id(job["retried_by"])


def _members(job: _Job) -> Iterator[str]:
    """Yield the results that a job gathered."""
    for one in job["members"]:
        yield f"{short_id(one['job'])} {one['pipeline']}: {one['bucket']}/{one['key']}"


def _lineage(job: _Job) -> Iterator[str]:
    """Yield the run as a tree: from its first upload down to what this job led to."""
    if not (job["parent"] or job["children"]):
        return
    ancestors: list[_Job] = []
    above = job["parent"]
    while above:
        ancestors.insert(0, above)
        above = above["parent"]
    for depth, one in enumerate(ancestors):
        yield "  " * depth + _named(one)
    yield "  " * len(ancestors) + _named(job) + " (this job)"
    yield from _below(job["children"], len(ancestors) + 1)


def _below(children: Iterable[_Job], depth: int) -> Iterator[str]:
    for child in children:
        yield "  " * depth + f"{_named(child)} {child['state']}"
        yield from _below(child["children"], depth + 1)


def _named(job: _Job) -> str:
    pipeline = job["pipeline"] or "not recorded yet"
    return f"{short_id(job['id'])} {pipeline}: {job['key'] or ''}".rstrip()
