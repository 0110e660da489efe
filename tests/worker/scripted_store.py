"""An HTTP server that responds as a test says: for what no real store can be made to do."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from worker.settings import StoreSettings
from worker.store.s3_store import S3Store


@dataclass(frozen=True)
class Request:
    """A request that the server has read."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_probe(self) -> bool:
        """Whether it only asks if the bucket is there."""
        return self.method == "HEAD" and self.path.count("/") == 1


def response(status: int = 200, body: bytes | str = b"", **headers: str) -> bytes:
    """Return a response with its length; "_" stands for "-" in the names of headers."""
    body = body.encode() if isinstance(body, str) else body
    named = {"Content_Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Some"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(status: int, code: str) -> bytes:
    """Return a response with S3's code."""
    return response(status, f"<Error><Code>{code}</Code></Error>")


@contextmanager
def scripted(answer: Callable[[Request], bytes]) -> Iterator[tuple[S3Store, list[Request]]]:
    """Serve a store as `serving` does; yield a client of it, and the requests so far."""
    with serving(answer) as (endpoint, requests):
        yield S3Store(StoreSettings(endpoint, "quarantine"), "access", "secret"), requests


@contextmanager
def serving(answer: Callable[[Request], bytes]) -> Iterator[tuple[str, list[Request]]]:
    """Serve a store.

    Args:
        answer: Returns the whole response to a request. The connection is closed after one with
            "Connection: close", and instead of b"".

    Yields:
        Its address, and the requests so far.
    """
    listener, requests = socket.create_server(("127.0.0.1", 0)), list[Request]()

    def serve(client: socket.socket) -> None:
        with suppress(OSError), client, client.makefile("rb") as stream:
            while first := stream.readline():
                method, target, _ = first.decode().split(" ")
                lines = iter(lambda: stream.readline().decode("latin-1").strip(), "")
                headers = dict(line.split(": ", 1) for line in lines)
                body = stream.read(int(headers.get("content-length", 0)))
                url = urlsplit(target)
                query = dict(parse_qsl(url.query, keep_blank_values=True))
                requests.append(Request(method, url.path, query, headers, body))
                sent = answer(requests[-1])
                client.sendall(sent)
                if not sent or b"Connection: close" in sent:
                    return

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield endpoint, requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
