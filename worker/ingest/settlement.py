"""What is sent back for messages: acknowledgements to the broker, confirmations to cameras."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from worker.ingest.held_messages import Receipt
from worker.ingest.topics import Address


@dataclass
class Settlement:
    """What is sent back; the network's thread sends it.

    Attributes:
        receipts: Of messages that are done with.
        confirmations: Topic and payload.
    """

    receipts: list[Receipt] = field(default_factory=list)
    confirmations: list[tuple[str, str]] = field(default_factory=list)

    def confirm(self, addresses: Iterable[Address]) -> None:
        """Confirm pictures that are stored: those of one start of a camera in one message."""
        numbers: dict[str, list[int]] = {}
        for one in addresses:
            numbers.setdefault(one.confirmation_topic, []).append(int(one.number))
        for topic, found in numbers.items():
            answer = {"number": found[0]} if len(found) == 1 else {"numbers": found}
            self.confirmations.append((topic, json.dumps(answer)))

    def confirm_minute(self, address: Address, name: str) -> None:
        """Confirm a minute that is counted, by the name that the camera gave it."""
        self.confirmations.append((address.confirmation_topic, json.dumps({"minute": name})))

    def refuse(self, address: Address, reason: str) -> None:
        """Say that a message will never be stored, and why."""
        number = int(address.number) if address.is_picture else address.number[:40]
        answer = json.dumps({"number": number, "refused": reason})
        self.confirmations.append((address.confirmation_topic, answer))
