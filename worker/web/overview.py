"""The overview, and the page of a pipeline."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from worker.jobs.camera_lines import CLOCK_SECONDS, missing
from worker.jobs.machines import machine_rows, present_machines
from worker.jobs.pace import queue_text, seconds_left, time_left
from worker.jobs.pending import Backlog
from worker.ledger.messages import INGEST
from worker.settings import Pipeline
from worker.web import graph
from worker.web.monitor import CAMERA_MINUTES, Snapshot
from worker.web.pages import render
from worker.web.plots import plot
from worker.web.state import State
from worker.web.throughput import Period


async def _overview(request: Request) -> Response:
    state: State = request.app.state.shared
    snapshot, backlogs = state.monitor.look()
    pipelines, machines = state.settings.pipelines, _machines(snapshot)
    return render(
        request,
        "overview.html",
        graph=graph.draw(pipelines),
        node=(graph.WIDTH, graph.HEIGHT),
        pipelines=[_report(one, snapshot, backlogs[one.name]) for one in pipelines.values()],
        machines=machines,
        cameras=[_camera(state, row, snapshot) for row in snapshot.cameras],
        problems=_problems(state, snapshot, machines, backlogs.values()),
        warnings=state.monitor.warnings,
        seen=snapshot.seen,
    )


async def _pipeline(request: Request) -> Response:
    state: State = request.app.state.shared
    name = request.path_params["name"]
    pipeline = state.settings.pipelines.get(name)
    if pipeline is None:
        known = ", ".join(state.settings.pipelines)
        raise HTTPException(404, f"There is no pipeline {name!r}; this stack has {known}.")
    snapshot, backlogs = state.monitor.look()
    return render(
        request,
        "pipeline.html",
        report=_report(pipeline, snapshot, backlogs[name]),
        pipeline=pipeline,
        archive=state.settings.store.archive,
        reasons=[row for row in snapshot.reasons if row["pipeline"] == name],
        undeletable=[row for row in snapshot.undeletable if row["pipeline"] == name],
        machines=_machines(snapshot, name),
        seen=snapshot.seen,
    )


def _report(pipeline: Pipeline, snapshot: Snapshot, backlog: Backlog) -> dict[str, Any]:
    counts = snapshot.counts[pipeline.name]
    rates = [row for row in snapshot.rates if row["pipeline"] == pipeline.name]
    left = seconds_left(backlog.pending, rates)
    return {
        "name": pipeline.name,
        "transform": pipeline.transform,
        "counts": counts,
        "backlog": backlog,
        "rate": sum(row["rate"] for row in rates),
        "time_left": time_left(backlog.pending, left),
        "queue": queue_text(counts.queue) if counts.queue else "",
        "plots": [plot("Last hour", counts.hour), plot("Last day", counts.day)],
    }


def _camera(state: State, row: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    """Return a camera's quality of service: what it counted and what has arrived."""
    end = snapshot.seen or datetime.now(UTC)
    start = end.replace(second=0, microsecond=0) - timedelta(minutes=CAMERA_MINUTES - 1)
    sums = {start + timedelta(minutes=i): [0, 0] for i in range(CAMERA_MINUTES)}
    for one in snapshot.minutes[row["camera"]]:
        if found := sums.get(datetime.fromisoformat(one["minute"])):
            found[0] += one["received"]
            found[1] += missing(one)
    periods = [Period(minute, *counts) for minute, counts in sums.items()]
    lost = "lost" if row["qos"] == 0 else "not received yet"
    offset = row["clock_offset"] or 0
    return row | {
        "pipeline": state.settings.cameras[row["camera"]].pipeline,
        "missing": missing(row),
        "clock": offset if abs(offset) > CLOCK_SECONDS else 0,
        "plot": plot("Last hour", periods, ("received", lost)),
    }


def _machines(snapshot: Snapshot, pipeline: str | None = None) -> list[dict[str, Any]]:
    """Return the machines that are shown, of the stack or of one pipeline."""
    rows = (snapshot.machines, snapshot.rates, snapshot.running)
    own = ([row for row in each if pipeline in (None, row["pipeline"])] for each in rows)
    return present_machines(machine_rows(*own))


def _problems(
    state: State,
    snapshot: Snapshot,
    machines: Iterable[dict[str, Any]],
    backlogs: Iterable[Backlog],
) -> Sequence[str]:
    """Return a sentence for everything that keeps the stack from working."""
    found = [*state.monitor.problems]
    found += [
        f"Machine {one['machine']}: {problem}" for one in machines for problem in one["problems"]
    ]
    if state.settings.cameras and not any(row["pipeline"] == INGEST for row in snapshot.machines):
        found.append("Ingest has not started yet: messages of cameras are not stored.")
    for backlog in backlogs:
        found += [f"{count} waiting: {reason}" for reason, count in backlog.problems]
    return list(dict.fromkeys(found))


ROUTES = [Route("/", _overview), Route("/pipelines/{name}", _pipeline)]
