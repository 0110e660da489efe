"""Jobs: the list, one job, and what a person does with jobs."""

import re
from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from worker.errors import JobRefused, UploadDeferred
from worker.jobs.job_changes import JobChanges
from worker.jobs.job_details import job_details
from worker.jobs.job_list import pending_row
from worker.ledger.ledger import DONE, DROPPED, QUARANTINED, RUNNING, WAITING
from worker.ledger.page_ledger import JobPage, PageFilter, PageLedger
from worker.web.listing import address, chosen_pipelines, place_of, place_text
from worker.web.pages import render
from worker.web.results import show
from worker.web.state import State

_RECORDED = (DONE, QUARANTINED, DROPPED)
_PENDING = (WAITING, RUNNING)
_JOBS = 50  # of a page
_OUTPUTS = 60  # that are shown of a job
_RECORDS = 500  # that are shown of a job
_MAX_CHANGES = 1000  # jobs of a request
_ID = re.compile(r"[0-9a-f]{8,32}")
_ACTIONS = {"retry": "Retry", "drop": "Drop"}


async def _jobs(request: Request) -> Response:
    state: State = request.app.state.shared
    query = request.query_params
    pipelines, chosen, like = chosen_pipelines(request), query.get("state", ""), query.get("q", "")
    if chosen not in ("", *_PENDING, *_RECORDED):
        raise HTTPException(404, f"There is no state {chosen!r}: choose one from the list.")
    if _ID.fullmatch(like) and len(await state.read(lambda ledger: ledger.find(like))) == 1:
        return RedirectResponse(f"/jobs/{like}", 303)
    place = place_of(request)
    page, exact = JobPage((), None), list[dict[str, Any]]()
    if chosen not in _PENDING:
        page_filter = PageFilter(
            pipelines,
            (chosen,) if chosen else _RECORDED,
            like or None,
            is_last=chosen == QUARANTINED,
            before=place,
            most=_JOBS,
        )
        page = await state.read(lambda ledger: ledger.job_page(page_filter))
        if like and place is None:
            exact = await state.read(lambda ledger: _exact(ledger, page_filter))
    pending: list[dict[str, Any]] = []
    more = 0
    if place is None and chosen in ("", *_PENDING):
        _, backlogs = state.monitor.look()
        waiting = [job for name in pipelines for job in backlogs[name].newest]
        found = [
            job
            for job in sorted(waiting, key=lambda one: one.time, reverse=True)
            if chosen in ("", job.state) and like in job.upload.key
        ]
        rows = await to_thread.run_sync(
            lambda: [pending_row(state.store, job) for job in found[:_JOBS]],
            limiter=state.read_threads,
        )
        recorded = await state.read(lambda ledger: ledger.recorded([row["id"] for row in rows]))
        # They were pending when their bucket was listed.
        pending = [row for row in rows if row["id"] not in recorded]
        more = max(0, len(found) - _JOBS)
    given = {name: query.get(name, "") for name in ("pipeline", "state", "q")}
    return render(
        request,
        "jobs.html",
        pending=pending,
        more=more,
        exact=exact,
        jobs=page.jobs,
        given=given,
        pipelines=list(state.settings.pipelines),
        states=[*_PENDING, *_RECORDED],
        is_first=place is None,
        newest=address("/jobs", given),
        older=page.older and address("/jobs", given, before=place_text(page.older)),
        reached=page.older and page.older.recorded,
    )


def _exact(ledger: PageLedger, page_filter: PageFilter) -> list[dict[str, Any]]:
    """Return the newest jobs on the very key that was searched for, however old they are."""
    rows = ledger.jobs_of_key(page_filter.pipelines, page_filter.like or "", _JOBS)
    return [row for row in rows if row["state"] in page_filter.states]


async def _job(request: Request) -> Response:
    state: State = request.app.state.shared
    identifier = request.path_params["id"]
    pipelines = list(state.settings.pipelines.values())

    def read(ledger: PageLedger) -> dict[str, Any]:
        details = job_details(ledger, state.store, pipelines, identifier)
        origin = details["parent"]
        source = origin and ledger.output(origin["id"], origin["number"])
        is_copy = bool(source and source["sha256"] == details["input"]["sha256"])
        records = [one["data"] for one in ledger.records_of([details["id"]], _RECORDS)]
        stored, row = details["outputs"], details | {"is_copy": is_copy}
        shown = show(state.settings, row, stored[:_OUTPUTS], len(stored), records)
        return {"job": details, "shown": shown, "outputs": stored[:_OUTPUTS]}

    try:
        # The store is asked only for jobs that are not recorded.
        is_recorded = await state.read(lambda ledger: ledger.find(identifier))
        values = await state.read(read, None if is_recorded else state.sessions)
    except JobRefused as error:
        raise HTTPException(404, str(error)) from error
    except UploadDeferred as error:
        raise HTTPException(503, str(error)) from error
    job = values["job"]
    if job["id"] != identifier:
        return RedirectResponse(f"/jobs/{job['id']}", 303)
    pipeline = state.settings.pipelines.get(job["pipeline"])
    is_kept = job["state"] == DONE and bool(pipeline and pipeline.keep_inputs)
    can_retry = not job["retried_by"] and (job["state"] == QUARANTINED or is_kept)
    can_drop = not job["retried_by"] and job["state"] == QUARANTINED
    actions = [name for name, can in (("retry", can_retry), ("drop", can_drop)) if can]
    return render(request, "job.html", actions=actions, **values)


async def _confirm(request: Request) -> Response:
    """Ask whether jobs are to be retried or dropped."""
    state: State = request.app.state.shared
    action, ids = _chosen(request.query_params.get("action"), request.query_params.getlist("job"))
    rows = await state.read(lambda ledger: [ledger.job(one) for one in ids])
    jobs = [row for row in rows if row]
    return render(request, "confirm.html", action=action, label=_ACTIONS[action], jobs=jobs)


async def _change(request: Request) -> Response:
    """Retry or drop jobs, as `jobs retry` and `jobs drop` do."""
    state: State = request.app.state.shared
    async with request.form(max_fields=_MAX_CHANGES + 10) as form:
        if not state.has_csrf(request, str(form.get("csrf", ""))):
            raise HTTPException(
                403,
                "The form does not come from this page, or has expired: reload it and try again.",
            )
        action, ids = _chosen(form.get("action"), form.getlist("job"))
        force = "force" in form

    def change() -> list[dict[str, Any]]:
        with state.ledger() as ledger:
            changes = JobChanges(state.settings, ledger, state.store, force=force)
            return list(map(changes.retry if action == "retry" else changes.drop, ids))

    rows = await to_thread.run_sync(change, limiter=state.sessions)
    if len(rows) == 1 and rows[0]["ok"]:
        return RedirectResponse(f"/jobs/{rows[0]['id']}", 303)
    status = 200 if any(row["ok"] for row in rows) else 409
    return render(request, "changed.html", status, action=action, rows=rows)


def _chosen(action: Any, ids: Sequence[Any]) -> tuple[str, list[str]]:
    """Return a request's action and its jobs.

    Raises:
        HTTPException: Either is missing or wrong.
    """
    if action not in _ACTIONS:
        raise HTTPException(400, f"The action {action!r} is unknown: use the page's buttons.")
    known = [one for one in dict.fromkeys(map(str, ids)) if _ID.fullmatch(one)]
    if not known:
        raise HTTPException(400, "No job is chosen: mark some first.")
    if len(known) > _MAX_CHANGES:
        raise HTTPException(400, f"At most {_MAX_CHANGES} jobs can be changed at once.")
    return action, known


ROUTES = [
    Route("/jobs", _jobs),
    Route("/jobs/change", _confirm, methods=["GET"]),
    Route("/jobs/change", _change, methods=["POST"]),
    Route("/jobs/{id}", _job),
]
