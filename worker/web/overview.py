"""The overview, and the page of a pipeline."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from worker.jobs.camera_lines import CLOCK_SECONDS, missing
from worker.ledger.messages import INGEST
from worker.settings import Pipeline
from worker.web import graph
from worker.web.monitor import CAMERA_MINUTES, Backlog, Snapshot
from worker.web.pages import age, render
from worker.web.plots import plot
from worker.web.state import State
from worker.web.throughput import Period

_SILENT = timedelta(minutes=5)  # since the last heartbeat of a machine


async def _overview(request: Request) -> Response:
    state: State = request.app.state.shared
    snapshot, backlogs = state.monitor.look()
    pipelines = state.settings.pipelines
    return render(
        request,
        "overview.html",
        graph=graph.draw(pipelines),
        node=(graph.WIDTH, graph.HEIGHT),
        pipelines=[_report(one, snapshot, backlogs[one.name]) for one in pipelines.values()],
        machines=_machines(snapshot.machines),
        cameras=[_camera(state, row, snapshot) for row in snapshot.cameras],
        problems=_problems(state, snapshot, backlogs.values()),
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
        machines=_machines(row for row in snapshot.machines if row["pipeline"] == name),
        seen=snapshot.seen,
    )


def _report(pipeline: Pipeline, snapshot: Snapshot, backlog: Backlog) -> dict[str, Any]:
    counts = snapshot.counts[pipeline.name]
    return {
        "name": pipeline.name,
        "transform": pipeline.transform,
        "counts": counts,
        "backlog": backlog,
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


def _machines(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per machine: its latest pass, whether it is silent, and its problems."""
    machines: dict[str, dict[str, Any]] = {}
    for row in rows:
        made = machines.setdefault(
            row["machine"], {"name": row["machine"], "seen": row["last_pass"], "problems": []}
        )
        made["seen"] = max(made["seen"], row["last_pass"])
        if row["obstacle"] and row["obstacle"] not in made["problems"]:
            made["problems"].append(row["obstacle"])
    for made in machines.values():
        silent = datetime.now(UTC) - datetime.fromisoformat(made["seen"])
        made["is_silent"] = silent > _SILENT
    return list(machines.values())


def _problems(state: State, snapshot: Snapshot, backlogs: Iterable[Backlog]) -> Sequence[str]:
    """Return a sentence for everything that keeps the stack from working."""
    machines = _machines(snapshot.machines)
    found = [*state.monitor.problems]
    found += [
        f"Machine {one['name']} has made no pass for {age(one['seen'])}."
        for one in machines
        if one["is_silent"]
    ]
    found += [
        f"Machine {one['name']}: {problem}" for one in machines for problem in one["problems"]
    ]
    if state.settings.cameras and not any(row["pipeline"] == INGEST for row in snapshot.machines):
        found.append("Ingest has not started yet: messages of cameras are not stored.")
    for backlog in backlogs:
        found += [f"{count} waiting: {reason}" for reason, count in backlog.problems]
    return list(dict.fromkeys(found))


ROUTES = [Route("/", _overview), Route("/pipelines/{name}", _pipeline)]
