"""`worker web` as its own process, and requests to it as a browser or a program sends them."""

import http.client
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any, Self

from tests.eventually import patience
from tests.ports import reserved_port
from tests.worker.pipeline import Pipeline
from worker.web.tokens import bearer_token, csrf_token, page_key


@dataclass(frozen=True)
class Response:
    """What the server sent."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class WebServer:
    """The page and the upload API of a pipeline, served while the context lasts.

    Attributes:
        cookie: What a browser that was let in sends as `Cookie`; "" before `login`.
    """

    def __init__(
        self, pipeline: Pipeline, port: int = 0, stdout: int | IO[str] = subprocess.PIPE
    ) -> None:
        self.pipeline, self.port, self.cookie = pipeline, port or reserved_port(), ""
        self._stdout = stdout

    @property
    def token(self) -> str:
        """The bearer token of the upload API."""
        return bearer_token(self.pipeline.store.secret_key, 1)

    @property
    def page_key(self) -> str:
        """The key that lets a browser in."""
        return page_key(self.pipeline.store.secret_key, 1)

    @property
    def csrf(self) -> str:
        """What a change of the page must carry."""
        return csrf_token(self.page_key)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def login_address(self) -> str:
        return f"{self.address}/login?key={self.page_key}"

    def __enter__(self) -> Self:
        self.process = self.pipeline.start_web(self.port, stdout=self._stdout)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.communicate(timeout=60 * patience())
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def login(self) -> Self:
        """Let this client in, as `./pipeline web` does with a browser."""
        response = self.get(self.login_address.removeprefix(self.address))
        assert response.status == http.HTTPStatus.OK
        self.cookie = response.headers["set-cookie"].partition(";")[0]
        return self

    def get(self, path: str, **headers: str) -> Response:
        """Send a GET request; underscores in names of headers become hyphens."""
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: bytes | str, **headers: str) -> Response:
        """Send a POST request, a form unless the headers say otherwise."""
        form = {"content_type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, body=body, headers=form | headers)

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | str | None = None
    ) -> Response:
        """Send any request, with the cookie unless `headers` have another one."""
        sent = {"cookie": self.cookie} if self.cookie else {}
        sent |= {name.replace("_", "-").lower(): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60 * patience())
        try:
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()
