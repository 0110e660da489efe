"""Messages that have arrived and are not confirmed, bounded by their bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.ingest.topics import Address
from worker.ledger.messages import Message
from worker.store.store import Contents

#: A message costs that much beside its payload.
_OVERHEAD_BYTES = 2048


class Receipt(NamedTuple):
    """How a message that arrived is acknowledged.

    Attributes:
        connection: Which connection to the broker it came over: it counts for that one only.
        mid: Its packet identifier, 0 at QoS 0.
        qos: Its quality of service.
    """

    connection: int
    mid: int
    qos: int


@dataclass
class HeldMessage:
    """A message between its arrival and its acknowledgement.

    Attributes:
        message: What the ledger gets.
        address: Where it was sent to.
        payload: The picture.
        contents: The same, with its hashes.
        receipts: Of each time that it arrived.
        pipeline: Whose input bucket it is stored in.
        failures: How often it could not be stored.
        problem: Why the last attempt failed.
    """

    message: Message
    address: Address
    payload: bytes
    contents: Contents
    receipts: list[Receipt] = field(default_factory=list)
    pipeline: str = ""
    failures: int = 0
    problem: str | None = None


class HeldMessages:
    """The messages that this process holds, by id, oldest first; the caller locks.

    Args:
        limit: Of bytes; the last message may exceed it.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._messages: dict[str, HeldMessage] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[HeldMessage]:
        return iter(self._messages.values())

    @property
    def is_full(self) -> bool:
        """Whether no more may be read from the broker."""
        return self._bytes >= self._limit

    def get(self, identifier: str) -> HeldMessage | None:
        """Return the message of an id."""
        return self._messages.get(identifier)

    def add(self, held: HeldMessage) -> None:
        """Hold a message."""
        self._messages[held.message.id] = held
        self._bytes += held.contents.size + _OVERHEAD_BYTES

    def remove(self, held: HeldMessage) -> None:
        """Forget a message."""
        del self._messages[held.message.id]
        self._bytes -= held.contents.size + _OVERHEAD_BYTES
