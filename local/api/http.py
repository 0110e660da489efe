"""The local cloud's HTTP server: requests, responses, routes and faults."""

import json
import re
import socketserver
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from local.errors import ApiError

HOST = "127.0.0.1"
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 400, 401, 403, 404, 409
OVER_LIMIT, UNPROCESSABLE, SERVER_FAULT = 413, 422, 500
_TITLES = {
    BAD_REQUEST: "badRequest",
    UNAUTHORIZED: "unauthorized",
    FORBIDDEN: "forbidden",
    NOT_FOUND: "itemNotFound",
    CONFLICT: "conflictingRequest",
    OVER_LIMIT: "overLimit",
    UNPROCESSABLE: "unprocessableEntity",
    SERVER_FAULT: "computeFault",
}


_NO_FILTERS = {"limit", "marker", "fields", "sort_key", "sort_dir", "sort", "page_reverse"}


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: the HTTP method.
        path: the path without the query.
        query: the query's parameters.
        headers: the HTTP headers.
        body: the parsed JSON body, None for an empty one.
        names: the parts of the path that the route names.
        auth_method: how the token's bearer logged in, "" on public routes.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    names: Mapping[str, str] = field(default_factory=dict)
    auth_method: str = ""

    def json(self, *keys: str) -> Any:
        """Return the value below `keys` in the body.

        Raises:
            ApiError: 400; the body has no such value.
        """
        value = self.body
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ApiError(BAD_REQUEST, f"The request's body has no '{'.'.join(keys)}'.")
            value = value[key]
        return value


@dataclass(frozen=True)
class Response:
    """A response; a body of None is an empty one."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Response]


@dataclass(frozen=True)
class Route:
    """A method and a path.

    Attributes:
        method: the HTTP method.
        path: the path; `{name}` stands for one part of it.
        handler: what answers the request.
        public: whether no token is needed.
    """

    method: str
    path: str
    handler: Handler
    public: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """Return the named parts, unquoted; None if `path` is not this route's."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        found = re.fullmatch(pattern, path.rstrip("/") or "/")
        return found and {name: unquote(part) for name, part in found.groupdict().items()}


class Router:
    """Finds a request's route and checks its token."""

    def __init__(
        self, routes: Iterable[Route], authenticate: Callable[[str, str, str], str]
    ) -> None:
        """Keep the routes.

        Args:
            routes: the first that fits a request is taken.
            authenticate: takes a request's token, method and path; returns how the token's bearer
                logged in, or raises ApiError.
        """
        self._routes = list(routes)
        self._authenticate = authenticate

    def answer(self, request: Request) -> Response:
        """Return the response of the route that fits, or a fault."""
        try:
            return self._route(request)
        except ApiError as error:
            return fault(request.path, error.status, str(error))
        except Exception as error:  # noqa: BLE001 - the server must answer, and log the reason
            traceback.print_exc()
            return fault(request.path, SERVER_FAULT, f"{type(error).__name__}: {error}")

    def _route(self, request: Request) -> Response:
        for route in self._routes:
            names = route.match(request.path)
            if names is None or route.method != request.method:
                continue
            method = ""
            if not route.public:
                token = _token(request.headers)
                method = self._authenticate(token, request.method, request.path)
            return route.handler(replace(request, names=names, auth_method=method))
        raise ApiError(NOT_FOUND, f"The resource {request.path} could not be found.")


def _token(headers: Mapping[str, str]) -> str:
    return next((headers[name] for name in headers if name.lower() == "x-auth-token"), "")


def fault(path: str, status: int, message: str) -> Response:
    """Return an error in the form of the service that `path` belongs to.

    Args:
        path: the request's path.
        status: the HTTP status.
        message: the reason.
    """
    if path.startswith("/identity"):
        return Response({"error": {"code": status, "message": message, "title": "Error"}}, status)
    if path.startswith("/network"):
        return Response({"NeutronError": {"type": "Error", "message": message}}, status)
    return Response({_TITLES.get(status, "fault"): {"code": status, "message": message}}, status)


class Server(ThreadingHTTPServer):
    """Listens on loopback; requests get a fault until `router` is set."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        """Listen on `port` if that is free, else on one that the kernel chooses."""
        self.router: Router | None = None
        try:
            super().__init__((HOST, port), _Handler)
        except OSError:
            super().__init__((HOST, 0), _Handler)

    def server_bind(self) -> None:
        """Bind without http.server's reverse lookup, which may wait for a name server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet, or each answer waits for a delayed ACK
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        response = fault(parts.path, BAD_REQUEST, "The request's body is not JSON.")
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        else:
            request = Request(self.command, parts.path, query, dict(self.headers), body)
            if self.server.router is not None:
                response = self.server.router.answer(request)
        text = b"" if response.body is None else json.dumps(response.body).encode()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if text:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: thousands of polls would hide the errors."""


def select(items: Iterable[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the page of a list that OpenStack's query parameters ask for.

    Every list fits one page, so after any marker there is nothing.

    Args:
        items: the whole list.
        query: the filters, and parameters of paging and sorting, which are ignored. A filter that
            an item does not have is ignored, too.
    """
    if "marker" in query:
        return []
    filters = {key: value.lower() for key, value in query.items() if key not in _NO_FILTERS}
    return [
        item
        for item in items
        if all(key not in item or str(item[key]).lower() == value for key, value in filters.items())
    ]
