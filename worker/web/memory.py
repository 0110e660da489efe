"""How much of the bodies of requests is held in memory, all requests together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Memory:
    """Memory that requests share. A request that needs more waits, and its sender with it.

    The oldest request always gets what it needs, else several could wait for one another for ever.

    Args:
        most: Bytes that all requests may hold together.
        reserve: Bytes that the oldest may hold in any case.
    """

    def __init__(self, most: int, reserve: int) -> None:
        self._most, self._reserve, self._used = most, reserve, 0
        self._shares: list[Share] = []
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def share(self) -> AsyncIterator["Share"]:
        """Let a request take memory; what it holds is given back when the context ends."""
        share = Share(self)
        self._shares.append(share)
        try:
            yield share
        finally:
            self._shares.remove(share)
            await self._give(share.held)

    async def _take(self, share: "Share", count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._has(share, count))
            self._used += count

    async def _give(self, count: int) -> None:
        async with self._changed:
            self._used -= count
            self._changed.notify_all()

    def _has(self, share: "Share", count: int) -> bool:
        is_oldest = share is self._shares[0] and share.held + count <= self._reserve
        return is_oldest or self._used + count <= self._most


class Share:
    """What one request holds.

    Attributes:
        held: In bytes.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory, self.held = memory, 0

    async def take(self, count: int) -> None:
        """Take bytes; wait until there are as many."""
        await self._memory._take(self, count)
        self.held += count

    async def give(self, count: int) -> None:
        """Give bytes back."""
        self.held -= count
        await self._memory._give(count)
