"""The application: its routes, and what all of them share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from worker.errors import ServiceUnavailable
from worker.settings import Settings
from worker.web import files, jobs, overview, results, upload_view, uploads
from worker.web.body import UnreadBody
from worker.web.pages import STATIC, render
from worker.web.security import HostCheck, SessionCheck
from worker.web.state import State
from worker.web.tokens import is_same, session_id

_SESSION_SECONDS = 7 * 86400
_ENTRIES = ("/results", "/upload", "/jobs")  # where /login may lead instead of the overview
_ENTER = """\
<!doctype html>
<meta http-equiv="refresh" content="0;url={path}">
<title>image-pipeline</title>
<a href="{path}">Open the page</a>
"""


def make_app(settings: Settings) -> Starlette:
    """Return the ASGI application of a stack (ASGI 3)."""
    state = State(settings)
    app = Starlette(
        routes=[
            Route("/login", _login),
            Route("/favicon.ico", _icon),
            Mount("/static", _StaticFiles(directory=STATIC)),
            *uploads.routes(state),
            Mount(
                "",
                routes=[
                    *overview.ROUTES,
                    *upload_view.ROUTES,
                    *results.ROUTES,
                    *files.ROUTES,
                    *jobs.ROUTES,
                ],
                middleware=[Middleware(SessionCheck, state=state)],
            ),
        ],
        middleware=[Middleware(UnreadBody), Middleware(HostCheck, state=state)],
        exception_handlers={
            HTTPException: _report,
            ServiceUnavailable: _report,
        },
        lifespan=_lifespan,
    )
    app.state.shared = state
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.shared.start()
    yield
    app.state.shared.close()


async def _login(request: Request) -> Response:
    """Give a browser that has the page key a session cookie."""
    state: State = request.app.state.shared
    if not is_same(request.query_params.get("key", ""), state.page_key):
        text = "The key in this address is no longer valid: run `./pipeline web` again.\n"
        return PlainTextResponse(text, HTTPStatus.FORBIDDEN)
    to = request.query_params.get("to", "")
    # Not a redirect: `./pipeline web` opens a file, which is another site to a browser, and with
    # redirects of a request from another site it sends no SameSite=Strict cookie.
    response = HTMLResponse(_ENTER.format(path=to if to in _ENTRIES else "/"))
    value = session_id(state.page_key)
    response.set_cookie(
        state.cookie, value, max_age=_SESSION_SECONDS, httponly=True, samesite="strict"
    )
    return response


async def _icon(_: Request) -> Response:
    """Return the icon, which browsers look for here on pages that name none."""
    return FileResponse(STATIC / "icon.svg")


async def _report(request: Request, error: Exception) -> Response:
    """Answer with the error's sentence, as a page to a browser that was let in."""
    status, text = HTTPStatus.SERVICE_UNAVAILABLE.value, str(error)
    if isinstance(error, HTTPException):
        status, text = error.status_code, error.detail
    if request.app.state.shared.is_person(request):
        return render(request, "error.html", status, text=text)
    return PlainTextResponse(f"{text}\n", status)


class _StaticFiles(StaticFiles):
    """Files whose addresses change with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the response for a file; browsers keep it."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
