"""What lists of jobs and results share: filters and places in addresses."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request

from worker.ledger.page_ledger import Place
from worker.web.state import State

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def chosen_pipelines(request: Request) -> Sequence[str]:
    """Return the pipeline that an address names with `pipeline`, or all of them.

    Raises:
        HTTPException: There is none of this name.
    """
    state: State = request.app.state.shared
    known = list(state.settings.pipelines)
    name = request.query_params.get("pipeline", "")
    if name and name not in known:
        raise HTTPException(404, f"There is no pipeline {name!r}; this stack has {known}.")
    return [name] if name else known


def place_of(request: Request) -> Place | None:
    """Return the place that an address names with `before`, None for the newest.

    Raises:
        HTTPException: It is not a place.
    """
    text = request.query_params.get("before", "")
    if not text:
        return None
    try:
        microseconds, number = map(int, text.split("-"))
        place = Place(_EPOCH + microseconds * _MICROSECOND, number)
    except (ValueError, OverflowError):
        place = None
    if place is None or not 0 <= place.number < 2**63:
        raise HTTPException(400, f"before is {text!r}: use the links between the pages.")
    return place


def address(path: str, given: Mapping[str, str], **changes: object) -> str:
    """Return an address with those of its parameters that are not empty."""
    values = {name: str(value) for name, value in {**given, **changes}.items() if value}
    return f"{path}?{urlencode(values)}" if values else path


def place_text(place: Place) -> str:
    """Return a place for an address."""
    return f"{(place.recorded - _EPOCH) // _MICROSECOND}-{place.number}"
