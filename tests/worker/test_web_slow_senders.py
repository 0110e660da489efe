"""Senders that are slow or silent, in the application itself: the loop's clock jumps over pauses.

A sender has no influence on how long the server waits for it, and a test has no half a minute.
"""

import asyncio
import json
import selectors
from collections.abc import AsyncIterator, Callable
from itertools import chain, repeat
from typing import Any

import pytest
from starlette.types import Message

from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from tests.worker.web_uploads import FORM, form
from worker import settings
from worker.web.app import make_app
from worker.web.tokens import bearer_token

BODY = form(("cat.png", encode(picture(1), "PNG")))
HALF = len(BODY) // 2
Pieces = AsyncIterator[bytes]


class JumpingSelector(selectors.SelectSelector):
    """Does not wait for a time, but lets it pass. It waits for threads, which set no timer."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(timeout and 0)
        if timeout and not found:
            self.passed += timeout
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop without waiting, whose clock stands still, on a slow computer too."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed


async def pauses(*pieces: tuple[float, bytes]) -> Pieces:
    """Send each piece after so many seconds, then nothing, for ever."""
    for seconds, piece in pieces:
        await asyncio.sleep(seconds)
        yield piece
    await asyncio.Event().wait()


async def steadily(seconds: float, size: int, first: bytes = b"") -> Pieces:
    """Send pieces of a size for ever, one after so many seconds."""
    for piece in chain([first], repeat(b"x" * size)):
        yield piece
        await asyncio.sleep(seconds)


def answer(pipeline: Pipeline, pieces: Callable[[], Pieces], token: str = "") -> tuple[int, Any]:
    """Send a form of the length of BODY, and return status and JSON."""
    token = token or bearer_token(pipeline.store.secret_key, 1)
    headers = {"host": "localhost", "authorization": f"Bearer {token}", "content-type": FORM}
    headers |= {"content-length": str(len(BODY))}
    scope = {"type": "http", "method": "POST", "path": "/upload", "raw_path": b"/upload"}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http"}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    sent: list[Message] = []

    async def serve() -> None:
        arrived, left = asyncio.Queue[bytes](), len(BODY)

        async def deliver() -> None:
            async for piece in pieces():
                await arrived.put(piece)

        async def receive() -> Message:
            nonlocal left
            piece = await arrived.get()
            left -= len(piece)
            return {"type": "http.request", "body": piece, "more_body": left > 0}

        async def send(message: Message) -> None:
            sent.append(message)

        app = make_app(settings.load(pipeline.settings, {}, ()))
        async with app.router.lifespan_context(app):
            sender = asyncio.create_task(deliver())
            await app(scope, receive, send)
            sender.cancel()

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(serve())
    return sent[0]["status"], json.loads(b"".join(one.get("body", b"") for one in sent))


@pytest.mark.parametrize(
    "pieces",
    [
        pauses,
        lambda: pauses((0, BODY[:HALF])),
        lambda: pauses((0, BODY[:HALF]), (29, BODY[HALF:-1])),
    ],
)
def test_a_sender_that_falls_silent_is_refused(
    versioned: Pipeline, pieces: Callable[[], Pieces]
) -> None:
    """As one does whose Content-Length is larger than its body."""
    versioned.migrate()
    status, content = answer(versioned, pieces)
    assert (status, "check its Content-Length" in content["error"]) == (400, True)
    assert versioned.left() == []


@pytest.mark.parametrize("seconds", [1, 29])
def test_a_sender_of_single_bytes_is_refused(versioned: Pipeline, seconds: int) -> None:
    status, content = answer(versioned, lambda: steadily(seconds, 1, BODY[:HALF]))
    assert (status, "comes too slowly" in content["error"]) == (400, True)
    assert versioned.left() == []


def test_a_sender_that_pauses_is_served(versioned: Pipeline) -> None:
    versioned.migrate()
    status, content = answer(versioned, lambda: pauses((29, BODY[:HALF]), (29, BODY[HALF:])))
    assert (status, [one["key"] for one in content["files"]]) == (200, ["cat.png"])
    assert versioned.left() == ["cat.png"]


def test_a_refused_sender_that_never_ends_is_answered(versioned: Pipeline) -> None:
    status, content = answer(versioned, lambda: steadily(0.9, 1), token="wrong")
    assert (status, "./pipeline web --token" in content["error"]) == (401, True)
