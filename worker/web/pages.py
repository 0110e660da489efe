"""The page's templates, and how they show values."""

from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from worker.quantities import duration, size
from worker.uploads.job import short_id
from worker.web.state import State

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
        request: The request; its path marks the current entry of the menu.
        template: The name of a file in templates/, which extends base.html.
        status: The HTTP status.
        values: What the template shows.
    """
    state: State = request.app.state.shared
    common = {"stack": state.settings.stack, "path": request.url.path, "csrf": state.csrf}
    return HTMLResponse(_environment().get_template(template).render(common | values), status)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": size,
        "number": number,
        "age": age,
        "moment": moment,
        "short_id": short_id,
        "quoted": lambda text: quote(text, safe=""),
    }
    environment.globals["static"] = _static
    return environment


@cache
def _static(name: str) -> str:
    """Return the address of a file in static/; it changes with the content, for caches."""
    return f"/static/{name}?v={sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def number(value: float) -> str:
    """Return a number with commas, and one digit after the point if it is small and not whole."""
    return f"{value:,.1f}" if value % 1 and value < 100 else f"{value:,.0f}"  # noqa: PLR2004


def age(then: datetime | str, now: datetime | None = None) -> str:
    """Return how long ago something was, in its largest unit.

    Args:
        then: When it was; as text in ISO 8601.
        now: The present.
    """
    since = datetime.fromisoformat(then) if isinstance(then, str) else then
    return duration(((now or datetime.now(UTC)) - since).total_seconds())


def moment(then: datetime | str) -> str:
    """Return a time in UTC to the second."""
    when = datetime.fromisoformat(then) if isinstance(then, str) else then
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
