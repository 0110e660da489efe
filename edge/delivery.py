"""Which pictures are published when, until the cloud has confirmed them. No I/O, no clock."""

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

#: Seconds without a confirmation after which a message is published again; doubled each time.
FIRST_WAIT, LONGEST_WAIT = 30.0, 600.0

K = TypeVar("K", bound=Hashable)


@dataclass
class _Attempt:
    """A message that was published and is not confirmed."""

    size: int
    count: int
    again: float


class Delivery(Generic[K]):
    """Messages by key, from when they are added until they are settled.

    Only as much is published as the device's broker holds in memory while the link is down; what
    else is pending stays in the spool.

    Args:
        max_bytes: The most bytes of messages published and not settled; one may always be.
        max_messages: The most of these messages.
    """

    def __init__(self, max_bytes: int, max_messages: int) -> None:
        self._max_bytes, self._max_messages = max_bytes, max_messages
        self._waiting: deque[K] = deque()
        self._sizes: dict[K, int] = {}  # of all that are not settled
        self._published: dict[K, _Attempt] = {}
        self._published_bytes = 0
        self._is_connected = False
        self._is_linked = True

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, key: K, size: int) -> None:
        """Add a message of some bytes; it is published after those before it."""
        if key not in self._sizes:
            self._sizes[key] = size
            self._waiting.append(key)

    def settle(self, key: K) -> bool:
        """Forget a message, which is confirmed, refused or dropped; return whether it was known."""
        if self._sizes.pop(key, None) is None:
            return False  # `_waiting` may still have it: `_skip_settled` removes it
        if attempt := self._published.pop(key, None):
            self._published_bytes -= attempt.size
        return True

    def oldest_waiting(self) -> K | None:
        """Return the first message that is not published, None if all are."""
        self._skip_settled()
        return self._waiting[0] if self._waiting else None

    def connected(self) -> None:
        """The device's broker is reached: what it may have forgotten is published again."""
        self._is_connected = True
        for key in reversed(self._published):
            self._waiting.appendleft(key)
        self._published.clear()
        self._published_bytes = 0

    def disconnected(self) -> None:
        """The device's broker cannot be reached: nothing is published."""
        self._is_connected = False

    def linked(self, is_linked: bool, now: float) -> None:
        """The link to the cloud is up or down, as the device's broker says.

        While it is down the broker keeps what it has: a repeat would only fill it. Once it is up,
        the first confirmations get their time.
        """
        if is_linked and not self._is_linked:
            for attempt in self._published.values():
                attempt.again = now + FIRST_WAIT
        self._is_linked = is_linked

    def due(self, now: float) -> list[K]:
        """Return the messages to publish now, and take them as published.

        Args:
            now: Seconds of a monotonic clock.
        """
        if not self._is_connected:
            return []
        found: list[K] = []
        if self._is_linked:
            found = [key for key, attempt in self._published.items() if attempt.again <= now]
            for attempt in map(self._published.__getitem__, found):
                attempt.count += 1
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt.count - 1))
                attempt.again = now + wait
        while (key := self.oldest_waiting()) is not None and self._has_room(self._sizes[key]):
            self._waiting.popleft()
            size = self._sizes[key]
            self._published[key] = _Attempt(size, 1, now + FIRST_WAIT)
            self._published_bytes += size
            found.append(key)
        return found

    def next_repeat(self) -> float:
        """Return when `due` will have a repeat; infinity if nothing is to be repeated."""
        if not (self._is_connected and self._is_linked):
            return math.inf
        return min((attempt.again for attempt in self._published.values()), default=math.inf)

    def _has_room(self, size: int) -> bool:
        if not self._published:
            return True
        return (
            len(self._published) < self._max_messages
            and self._published_bytes + size <= self._max_bytes
        )

    def _skip_settled(self) -> None:
        while self._waiting and self._waiting[0] not in self._sizes:
            self._waiting.popleft()
