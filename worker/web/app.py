"""The application: its routes, and what all of them share."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from worker.settings import Settings


def make_app(settings: Settings) -> Starlette:
    """Return the ASGI application of a stack (ASGI 3)."""
    app = Starlette(routes=[Route("/", _overview)])
    app.state.settings = settings
    return app


async def _overview(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.app.state.settings.stack}\n")
