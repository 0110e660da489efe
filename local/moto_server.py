"""Moto's S3 on a port that the kernel chooses: `python -m local.moto_server PORT_FILE`.

Moto's own `moto_server` cannot report which port it got, and a port that is chosen beforehand may
be taken by the time it binds.

As on Ceph, a bucket is also a Swift container; HEAD of a container is answered.
"""

import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from local import private_file

_SWIFT_CONTAINER = re.compile(r"/swift/v1/AUTH_[^/]+(/[^/]+)")


class WithSwift:
    """Moto's S3, and HEAD of the same buckets as Swift containers."""

    def __init__(self, s3: DomainDispatcherApplication) -> None:
        self._s3 = s3

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one WSGI request."""
        container = _SWIFT_CONTAINER.fullmatch(environ.get("PATH_INFO", ""))
        if container and environ["REQUEST_METHOD"] == "HEAD":
            environ = {**environ, "PATH_INFO": container[1], "REQUEST_URI": container[1]}
            environ["RAW_URI"] = container[1]
        return self._s3(environ, start_response)  # type: ignore[no-any-return]


class QuietHandler(MotoRequestHandler):
    """Logs no requests: their log would outgrow the objects."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


def main(port_file: Path) -> None:
    """Serve until a signal ends the process; writes the port once it listens."""
    application = WithSwift(DomainDispatcherApplication(create_backend_app))
    last = port_file.with_name("last-port")  # outputs and settings name the former address
    former = int(last.read_text(encoding="utf-8")) if last.exists() else 0
    try:
        server = _server(application, former)
    except (OSError, SystemExit):  # werkzeug exits when a port is taken
        server = _server(application, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    private_file.write(last, str(server.port))
    private_file.write(port_file, str(server.port))
    server.serve_forever()


def _server(application: WithSwift, port: int) -> BaseWSGIServer:
    return make_server("127.0.0.1", port, application, threaded=True, request_handler=QuietHandler)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
