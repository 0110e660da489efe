"""What became of a file that came over HTTP."""

from collections.abc import Collection, Iterator
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.responses import Response

from worker.errors import UploadDeferred
from worker.jobs.fetch import UPLOAD_TOKEN
from worker.jobs.run_progress import Cause, gathered_results, obstacles
from worker.ledger.ledger import DONE, QUARANTINED, RUNNING, WAITING
from worker.ledger.runs import Run, whole_stack
from worker.ledger.stack_ledger import StackLedger
from worker.settings import Pipeline
from worker.store.store import Store
from worker.web.files import file_response
from worker.web.state import State
from worker.web.stored_files import from_output
from worker.web.stored_uploads import stored_uploads

MISSING = "missing"
_MAX_RECORDS = 1000
_WAS_DELETED = (
    "it is no longer in the input bucket: it was deleted or replaced before a worker read it"
)


async def status(state: State, token: str) -> dict[str, Any]:
    """Return what became of a file, with all that was made from it.

    Args:
        state: What all requests share.
        token: The file's.

    Returns:
        The JSON of `GET /jobs/TOKEN` (openapi.py).

    Raises:
        HTTPException: There is no such file.
    """  # noqa: DOC502  raised by _row
    found = await state.read(lambda ledger: _status(state, ledger, token))
    if found["state"] == WAITING and not found["jobs"]:
        pipeline = state.settings.pipelines.get(found["pipeline"])
        if not await to_thread.run_sync(
            _is_stored, state.store, pipeline, found, limiter=state.read_threads
        ):
            # It may have been recorded and deleted since the ledger was read.
            found = await state.read(lambda ledger: _status(state, ledger, token))
            if found["state"] == WAITING and not found["jobs"]:
                found |= {"state": MISSING, "reason": _WAS_DELETED}
    return found


async def result(state: State, token: str, number: int) -> Response:
    """Return a result of a file as a download.

    Args:
        state: What all requests share.
        token: The file's.
        number: As in the address that `status` returns.

    Raises:
        HTTPException: There is no such file or result.
    """

    def find(ledger: StackLedger) -> dict[str, Any]:
        run = _row(ledger, token)["run"]
        outputs = ledger.run_outputs(run) if run else []
        if not 0 < number <= len(outputs):
            known = f"its results are 1 to {len(outputs)}" if outputs else "it has none"
            text = f"The file has no result {number}: {known}."
            raise HTTPException(HTTPStatus.NOT_FOUND, text)
        return outputs[number - 1]

    output = await state.read(find)
    if not output["bucket"] and output["pipeline"] not in state.settings.pipelines:
        text = f"The pipeline {output['pipeline']!r} and its results were deleted."
        raise HTTPException(HTTPStatus.NOT_FOUND, text)
    return await file_response(state, from_output(state.settings, output))


def _row(ledger: StackLedger, token: str) -> dict[str, Any]:
    rows = ledger.uploads([token]) if UPLOAD_TOKEN.fullmatch(token) else []
    if not rows:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"No file has the token {token[:80]!r}.")
    return rows[0]


def _status(state: State, ledger: StackLedger, token: str) -> dict[str, Any]:
    row = _row(ledger, token)
    shown = ("token", "state", "pipeline", "key", "bytes", "sha256", "reason")
    found = {name: row[name] for name in shown} | {"jobs": [], "results": [], "records": []}
    if not row["run"]:
        return found
    pipelines, run = state.settings.pipelines, ledger.run(row["run"])
    current = {one.job for one in gathered_results(run, list(pipelines))}
    repeated = {one.retry_of for one in run.jobs}
    found["jobs"] = [
        {"id": one.id, "pipeline": one.pipeline, "state": one.state, "reason": one.reason}
        for one in run.jobs
        if one.id not in repeated
    ]
    found["results"] = list(_results(ledger, run, token, current))
    found["records"] = [
        {"pipeline": one["pipeline"], "data": one["data"]}
        for one in ledger.run_records(run.id, _MAX_RECORDS)
        if one["job"] not in repeated
    ]
    if found["state"] == DONE:
        found |= _state_of_rest(ledger, run, pipelines.values())
    return found


def _results(
    ledger: StackLedger, run: Run, token: str, current: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Yield the results of a run, without those that a retry replaced: they keep their number."""
    for number, output in enumerate(ledger.run_outputs(run.id), 1):
        if output["job"] in current:
            yield {
                "pipeline": output["pipeline"],
                "key": output["key"],
                "bytes": output["bytes"],
                "sha256": output["sha256"],
                "contentType": output["content_type"],
                "url": f"/jobs/{token}/results/{number}",
            }


def _state_of_rest(
    ledger: StackLedger, run: Run, pipelines: Collection[Pipeline]
) -> dict[str, Any]:
    """Return the state of a file whose own job is done: later pipelines may have more to do."""
    # They were added after the run had begun, so they do not gather it.
    younger = ledger.run_start(run.id)["younger_pipelines"]
    left = [
        one
        for one in obstacles(run, whole_stack({one.name: one for one in pipelines}))
        if not (one.cause is Cause.NOT_GATHERED and one.pipeline in younger)
    ]
    for one in left:
        if one.cause is Cause.QUARANTINED and one.job:
            reason = f"{one.job.pipeline}: {one.job.reason}"
            return {"state": QUARANTINED, "reason": reason}
    return {"state": RUNNING if left else DONE}


def _is_stored(store: Store, pipeline: Pipeline | None, row: dict[str, Any]) -> bool:
    """Return whether an object in the input bucket may be the file."""
    if pipeline is None:
        return False
    try:
        return any(
            token in ("", row["token"])  # quirks.METADATA_IS_FORGOTTEN
            for _, token in stored_uploads(store, pipeline.input, row["key"], row["bytes"])
        )
    except UploadDeferred:
        return True
