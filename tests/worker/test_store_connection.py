"""Responses that stores, proxies and broken connections send: read whole, or given up."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.worker.scripted_store import response
from worker.errors import NoResponse, ResponseTimeout
from worker.store.client import Client, Response, Signer
from worker.store.retries import RetryPolicy

SOON = RetryPolicy(attempts=4, wait_seconds=0, response_seconds=0.2)
PATIENT = RetryPolicy(attempts=4, wait_seconds=0)
OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def speaking(*scripts: Iterable[bytes]) -> Iterator[tuple[Client, Callable[[], int]]]:
    """Serve connections, one script each: its pieces are sent as they come; then it stays open.

    Yields:
        A client, each of whose calls uses up a script, and a function that counts the requests.
    """
    listener, received = socket.create_server(("127.0.0.1", 0)), list[int]()

    def serve() -> None:
        with suppress(OSError):
            for script in scripts:
                client, _ = listener.accept()
                kept.append(client)
                received.append(len(client.recv(1 << 16)))
                with suppress(OSError):
                    for piece in script:
                        client.sendall(piece)

    def requests() -> int:
        """Connections are accepted in turn, so that ours comes after all of the client's."""
        with socket.create_connection(listener.getsockname()) as last:
            last.sendall(b"x")
            eventually(lambda: 1 in received)
        return received.index(1)

    kept: list[socket.socket] = []
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield Client(endpoint, Signer("us-east-1", "access", "secret")), requests
    finally:
        listener.close()
        for client in kept:
            client.close()


def ask(client: Client, method: str = "GET", retry: RetryPolicy = PATIENT) -> Response:
    return client.call(method, "bucket", "key", retry=retry)


@pytest.mark.parametrize(
    "script",
    [
        [],
        [OK, b"Content-Length: 9\r\n\r\nhalf"],
        [OK, b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"],
    ],
    ids=["no response", "stalled", "stalled chunk"],
)
def test_a_response_that_stalls_is_given_up_at_once(script: list[bytes]) -> None:
    """It would stall again, and hold up what waits for the thread: the next pass asks again."""
    with speaking(script, script) as (client, requests):
        with pytest.raises(ResponseTimeout, match=re.escape("nothing came for 0.2 s")):
            ask(client, retry=SOON)
        assert requests() == 1


@pytest.mark.parametrize(
    "first",
    [OK + b"Content-Length: 9999\r\n\r\n", OK + b"x-amz-meta-a: "],
    ids=["trickling body", "trickling header"],
)
def test_a_response_that_trickles_is_given_up_at_once(
    monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    """A byte comes more often than the client's patience ends, by a clock that only this moves."""
    now, pause = [time.monotonic()], threading.Event()

    def trickle() -> Iterator[bytes]:
        yield first
        for byte in repeat(b"x"):
            pause.wait(0.05)
            now[0] += 0.05
            yield byte

    with speaking(trickle(), []) as (client, requests):
        with (
            monkeypatch.context() as patch,
            pytest.raises(ResponseTimeout, match=re.escape("bytes came in 0.2 s")),
        ):
            patch.setattr(time, "monotonic", lambda: now[0])
            ask(client, retry=SOON)
        assert requests() == 1


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([OK, b"Content-Length: 4\r\n\r\n", b"bo", b"dy"], b"body"),
        ([OK + b"content-length:4\r\n\r\nbody"], b"body"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 4\r\n\r\nbody"], b"body"),
        (
            [OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nbo\r\n2;a=b\r\ndy\r\n0\r\n\r\n"],
            b"body",
        ),
        ([OK + b"Content-Length: 0\r\n\r\n"], b""),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ([OK + b"Folded: a\r\n  b\r\nContent-Length: 4\r\n\r\nbody"], b"body"),
    ],
    ids=["pieces", "no space", "continue", "chunks", "empty", "no content", "folded"],
)
def test_bodies_are_read_to_their_end(pieces: list[bytes], body: bytes) -> None:
    with speaking(pieces) as (client, _):
        assert ask(client).body == body


def test_what_nobody_asked_for_answers_no_other_request() -> None:
    first, excess = response(200, b"first"), response(200, b"excess")
    with speaking([first + excess], [response(200, b"second")], []) as (client, requests):
        assert [ask(client).body, ask(client).body] == [b"first", b"second"]
        assert requests() == 2


def test_headers_of_one_name_are_joined() -> None:
    head = b"X-Amz-Meta-A: 1\r\nx-amz-meta-a: 2\r\nFolded: a\r\n\tb\r\nContent-Length: 0\r\n\r\n"
    with speaking([OK + head]) as (client, _):
        headers = ask(client).headers
    assert (headers["x-amz-meta-a"], headers["folded"]) == ("1, 2", "a b")


def test_head_has_no_body() -> None:
    with speaking([OK + b"Content-Length: 1000\r\n\r\n"]) as (client, _):
        assert ask(client, "HEAD").headers["content-length"] == "1000"


@pytest.mark.parametrize(
    "head",
    [
        b"220 ftp\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        OK + b"no colon\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 4, 5\r\n\r\nbody",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n",
        OK + b"a: b\r\n" * 10_001 + b"\r\n",
    ],
)
def test_what_is_not_http_is_asked_for_once(head: bytes) -> None:
    with speaking([head], [head]) as (client, requests):
        with pytest.raises(NoResponse):
            ask(client)
        assert requests() == 1


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_a_store_that_receives_nothing_is_given_up(kind: str, tmp_path: Path) -> None:
    """More is sent than the buffers of both sides take."""
    content, file = bytes(32 << 20), tmp_path / "file"
    file.write_bytes(content)
    with speaking([], []) as (client, requests):
        with pytest.raises(ResponseTimeout, match=re.escape("it received nothing for 0.2 s")):
            client.call(
                *("PUT", "bucket", "key"),
                headers={"x-amz-content-sha256": "0" * 64},
                body=content if kind == "bytes" else file,
                retry=SOON,
            )
        assert requests() == 1


def test_a_response_without_a_length_ends_with_the_connection() -> None:
    with speaking([OK + b"\r\nbody"]) as (client, _), pytest.raises(ResponseTimeout):
        ask(client, retry=SOON)


def test_an_endless_error_is_not_kept_in_memory() -> None:
    endless = iter([b"HTTP/1.1 400 No\r\n\r\n", *repeat(b"x" * (1 << 20), 80)])
    with speaking(endless) as (client, _), pytest.raises(NoResponse, match="is longer than"):
        ask(client)
