"""The body of a request, as it arrives."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

_STALL_SECONDS = 30  # without anything from the sender
# Some senders read no response before they have sent everything: they may go on for so long.
_DRAIN_SECONDS, _PAUSE_SECONDS = 5, 0.5


class Body:
    """The body of a request. Starlette's own stream neither ends a stalled one nor is left early.

    Args:
        request: The request.
    """

    def __init__(self, request: Request) -> None:
        self._request, self._is_ended = request, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces.

        Raises:
            HTTPException: Nothing came for too long.
            ClientDisconnect: The connection ended before the body did.
        """  # noqa: DOC502  raised by _receive
        while not self._is_ended:
            try:
                async with asyncio.timeout(_STALL_SECONDS):
                    piece = await self._receive()
            except TimeoutError:
                text = f"The body is not complete, and nothing came for {_STALL_SECONDS} s: check "
                text += "its Content-Length, and send it again."
                raise HTTPException(HTTPStatus.BAD_REQUEST, text) from None
            if piece:
                yield piece

    async def drain(self) -> None:
        """Read some of what is left: a connection that is closed before loses the response.

        A sender that waits for permission (Expect: 100-continue) has not begun.
        """
        if self._request.headers.get("expect", "").lower() == "100-continue":
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._is_ended:
                    async with asyncio.timeout(_PAUSE_SECONDS):
                        await self._receive()
        except (TimeoutError, ClientDisconnect):
            return

    async def _receive(self) -> bytes:
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            self._is_ended = True
            raise ClientDisconnect
        self._is_ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))
