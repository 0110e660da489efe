"""The page from which a person uploads files."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from worker.jobs.fetch import UPLOAD_TOKEN
from worker.ledger.ledger import DONE, DROPPED, QUARANTINED
from worker.web.pages import render
from worker.web.state import State

_MAX_TOKENS = 1000
_ENDED = (DONE, QUARANTINED, DROPPED)


async def _upload(request: Request) -> Response:
    state: State = request.app.state.shared
    settings = state.settings
    # First those that read no results of others: there runs begin.
    open_to_all = [one for one in settings.pipelines.values() if not one.gather]
    names = [one.name for one in sorted(open_to_all, key=lambda one: bool(one.sources))]
    batch = request.query_params.get("batch", "")
    files: list[dict[str, Any]] = []
    if batch:
        files = await state.read(lambda ledger: ledger.uploads(batch=batch))
    return render(
        request,
        "upload.html",
        pipelines=names,
        chosen=request.query_params.get("pipeline", ""),
        limit=settings.web.max_file_bytes,
        files=files,
        is_ended=all(one["state"] in _ENDED for one in files),
    )


async def _states(request: Request) -> Response:
    """Return the states of files, for the script: there may be too many for an address."""
    state: State = request.app.state.shared
    try:
        tokens = await request.json()
    except ValueError:
        tokens = None
    if not isinstance(tokens, list) or not all(isinstance(one, str) for one in tokens):
        raise HTTPException(400, "The body must be a JSON list of tokens.")
    if len(tokens) > _MAX_TOKENS:
        raise HTTPException(413, f"At most {_MAX_TOKENS} tokens can be asked for.")
    known = [one for one in tokens if UPLOAD_TOKEN.fullmatch(one)]
    rows = await state.read(lambda ledger: ledger.uploads(known))
    shown = ("token", "state", "reason", "job")
    return JSONResponse([{name: row[name] for name in shown} for row in rows])


ROUTES = [Route("/upload", _upload), Route("/upload/states", _states, methods=["POST"])]
