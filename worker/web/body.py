"""The body of a request, as it arrives."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.web.rate_limit import MinimumRate

_STALL_SECONDS = 30  # without anything from the sender
# So much is read of what nobody needs; a sender that pauses is taken for one that reads.
_DRAIN_BYTES, _DRAIN_SECONDS, _PAUSE_SECONDS = 256 << 20, 30, 1


class Body:
    """The body of a request. Starlette's own stream neither ends a stalled one nor is left early.

    Args:
        request: The request.
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces.

        Raises:
            HTTPException: Nothing came for too long, or too little.
            ClientDisconnect: The connection ended before the body did.
        """
        rate, is_ended = MinimumRate(), False
        while not is_ended:
            since = _now()
            try:
                async with asyncio.timeout(_STALL_SECONDS):
                    message = await self._request.receive()
            except TimeoutError:
                text = f"The body is not complete, and nothing came for {_STALL_SECONDS} s: check "
                text += "its Content-Length, and send it again."
                raise HTTPException(HTTPStatus.BAD_REQUEST, text) from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece = message.get("body", b"")
            # Only the time in which the sender could have sent: not while the store is slow.
            if rate.is_missed(len(piece), _now() - since):
                text = f"The body comes too slowly, less than {rate.per_second} bytes a second in "
                text += f"{rate.seconds} s: send it over a faster connection."
                raise HTTPException(HTTPStatus.BAD_REQUEST, text)
            is_ended = not message.get("more_body", False)
            if piece:
                yield piece


class UnreadBody:
    """Reads what the application leaves of a request's body, within bounds.

    A connection that is closed before is reset, and most senders lose the response (RFC 9112,
    9.6): they read none before they have sent everything. A sender that waits for permission
    (Expect: 100-continue) gets the response first: it has not begun, unless its patience ended.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request (ASGI 3)."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        waits = Headers(scope=scope).get("expect", "").lower() == "100-continue"
        is_ended = is_closing = False

        async def receive_rest() -> Message:
            nonlocal waits, is_ended
            waits = False  # the server has given permission
            message = await receive()
            is_ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def drain() -> None:
            count, end = 0, _now() + _DRAIN_SECONDS
            while not is_ended and count < _DRAIN_BYTES and _now() < end:
                try:
                    async with asyncio.timeout(_PAUSE_SECONDS):
                        message = await receive_rest()
                except TimeoutError:
                    return
                count += len(message.get("body", b""))

        async def send_between(message: Message) -> None:
            nonlocal is_closing
            if message["type"] == "http.response.start" and not is_ended:
                if not waits:
                    await drain()
                is_closing = not is_ended
                if is_closing:
                    MutableHeaders(scope=message)["Connection"] = "close"
            elif is_closing and waits and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await drain()
                message = {"type": "http.response.body"}
            await send(message)

        await self._app(scope, receive_rest, send_between)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _now() -> float:
    """Return the time of the loop, by which timeouts go, in seconds."""
    return asyncio.get_running_loop().time()
