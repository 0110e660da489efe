"""What Pukki does before Trove's API: an instance without a network gets the service's own.

Upstream, an instance without `nics` would have no port of Trove's, and so no public address.
"""

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def factory(_settings: dict[str, str], network: str) -> Callable[[Application], Application]:
    """A filter for api-paste.ini; `network` is a network's id."""

    def wrap(application: Application) -> Application:
        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            path = environ["PATH_INFO"].rstrip("/")
            if environ["REQUEST_METHOD"] == "POST" and path.endswith("/instances"):
                _add(environ, network)
            return application(environ, start_response)

        return answer

    return wrap


def _add(environ: dict[str, Any], network: str) -> None:
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        body = json.loads(raw)
        body["instance"].setdefault("nics", [{"net-id": network}])
        raw = json.dumps(body).encode()
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # Trove says what is wrong with it
    environ.update({"wsgi.input": BytesIO(raw), "CONTENT_LENGTH": str(len(raw))})
