"""Results as people compare them: before and after side by side, faces' boxes, answers."""

import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from worker.ledger.ledger import DONE
from worker.ledger.page_ledger import JobPage, PageFilter, PageLedger
from worker.settings import Settings
from worker.web.files import MAX_ZIPPED_FILES
from worker.web.listing import address, chosen_pipelines, place_of, place_text
from worker.web.pages import render
from worker.web.state import State
from worker.web.stored_files import may_have_input

_JOBS = 24  # of a page
_OUTPUTS = 4  # that are shown of a job
_RECORDS = 20  # that are read of a job
_BOX = ("x", "y", "width", "height", "picture_width", "picture_height")
_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Boxes:
    """What was found in a picture. Attributes: width and height of the picture, found (records)."""

    width: int
    height: int
    found: Sequence[_Row]


@dataclass(frozen=True)
class Shown:
    """A job with its results.

    Attributes:
        job: Its row.
        has_input: Whether something may still have its input.
        shows_input: Whether that may be a picture.
        boxes: What was found in that picture, None if its records are no boxes.
        pictures: Rows of the results that are pictures.
        files: Rows of the other results.
        more: How many results are not among these.
        columns: Of the records that are no boxes.
        records: These records.
    """

    job: _Row
    has_input: bool
    shows_input: bool
    boxes: Boxes | None
    pictures: Sequence[_Row]
    files: Sequence[_Row]
    more: int
    columns: Sequence[str]
    records: Sequence[_Row]


async def _results(request: Request) -> Response:
    state: State = request.app.state.shared
    query = request.query_params
    page_filter = PageFilter(
        chosen_pipelines(request),
        (DONE,),
        query.get("q") or None,
        before=place_of(request),
        most=_JOBS,
    )
    page, shown = await state.read(lambda ledger: _read(ledger, state.settings, page_filter))
    given = {name: query.get(name, "") for name in ("pipeline", "q")}
    return render(
        request,
        "results.html",
        shown=shown,
        given=given,
        pipelines=list(state.settings.pipelines),
        is_first=page_filter.before is None,
        newest=address("/results", given),
        older=page.older and address("/results", given, before=place_text(page.older)),
        everything=address("/files/results.zip", given),
        most=MAX_ZIPPED_FILES,
    )


def _read(
    ledger: PageLedger, settings: Settings, page_filter: PageFilter
) -> tuple[JobPage, list[Shown]]:
    page = ledger.job_page(page_filter)
    ids = [job["id"] for job in page.jobs]
    outputs, records = ledger.outputs_of(ids, _OUTPUTS), ledger.records_of(ids, _RECORDS)
    shown = []
    for job in page.jobs:
        own = [row for row in outputs if row["job_id"] == job["id"]]
        data = [row["data"] for row in records if row["job_id"] == job["id"]]
        shown.append(show(settings, job, own, own[0]["total"] if own else 0, data))
    return page, shown


def show(
    settings: Settings, job: _Row, outputs: Sequence[_Row], total: int, records: Sequence[_Row]
) -> Shown:
    """Arrange a job's results.

    Args:
        settings: The stack's.
        job: Its row: id, pipeline, state, key, is_copy.
        outputs: The first of its rows of `outputs`.
        total: How many there are.
        records: The first of its records.

    Returns:
        What the page shows of it.
    """
    pictures = [row for row in outputs if (row["content_type"] or "").startswith("image/")]
    boxes = boxes_of(records)
    tabular = [] if boxes else records
    has_input = may_have_input(settings, job)
    return Shown(
        job,
        has_input,
        has_input and _is_picture(job["key"]),
        boxes,
        pictures,
        [row for row in outputs if row not in pictures],
        total - len(outputs),
        list(dict.fromkeys(name for record in tabular for name in record)),
        tabular,
    )


def boxes_of(records: Sequence[_Row]) -> Boxes | None:
    """Return the records of a picture if each is a box in it."""
    numbers = [[record.get(name) for name in _BOX] for record in records]
    if not records or not all(isinstance(one, int | float) for row in numbers for one in row):
        return None
    width, height = records[0]["picture_width"], records[0]["picture_height"]
    return Boxes(width, height, records) if width > 0 and height > 0 else None


def _is_picture(key: str) -> bool:
    """Return whether a key may be a picture's: by its extension; those without one may be."""
    kind, _ = mimetypes.guess_type(key)
    return (kind or "image/").startswith("image/")


ROUTES = [Route("/results", _results)]
