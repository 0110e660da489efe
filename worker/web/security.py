"""Who may send requests, and headers that keep browsers from harm."""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.web.state import State

#: Of the loopback interface, at any port: the end of an ssh tunnel has another one.
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Of users' files: whatever they contain, a browser runs none of it.
FILE_HEADERS = {"Content-Security-Policy": "sandbox; default-src 'none'"}
_MAX_PATH = 1000  # characters
_BAD_ADDRESS = (
    f"The address has a NUL character or more than {_MAX_PATH} characters: correct or shorten it.\n"
)
_ONLY_API = (
    "The upload token opens POST /upload, PUT /upload/PIPELINE/KEY, GET /jobs/TOKEN and its "
    "results only: /openapi.json describes them."
)


class HostCheck:
    """Refuses requests for unknown hosts, against DNS rebinding, and adds headers to responses.

    A request with a bearer token may name any host: no page of another origin knows the token.
    """

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        domain = state.settings.web.domain
        self._hosts = (*_LOOPBACK, *([domain] if domain else []))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        host = Headers(scope=scope).get("host", "")
        app = self._app
        if not (self._is_known(host) or is_bearer(HTTPConnection(scope))):
            text = f"The host {host!r} is not known here: open the page by `./pipeline web`.\n"
            app = PlainTextResponse(text, HTTPStatus.MISDIRECTED_REQUEST)
        await app(scope, receive, send_with_headers)

    def _is_known(self, host: str) -> bool:
        try:
            return urlsplit(f"//{host}").hostname in self._hosts
        except ValueError:
            return False


class SessionCheck:
    """Lets only browsers in that have opened /login with the page key."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request (ASGI 3)."""
        app = self._app
        if scope["type"] == "http" and not self._state.is_person(HTTPConnection(scope)):
            if is_bearer(HTTPConnection(scope)):
                app = JSONResponse({"error": _ONLY_API}, HTTPStatus.FORBIDDEN)
            else:
                text = "This browser has no access to the page: run `./pipeline web`.\n"
                app = PlainTextResponse(text, HTTPStatus.FORBIDDEN)
        # PostgreSQL stores no NUL, and Python reads no number of so many digits.
        elif scope["type"] == "http" and (
            b"%00" in scope["raw_path"] + scope["query_string"] or len(scope["path"]) > _MAX_PATH
        ):
            app = PlainTextResponse(_BAD_ADDRESS, HTTPStatus.BAD_REQUEST)
        await app(scope, receive, send)


def is_bearer(request: HTTPConnection) -> bool:
    """Return whether a request has a bearer token, valid or not (RFC 6750)."""
    return request.headers.get("authorization", "").lower().startswith("bearer ")
