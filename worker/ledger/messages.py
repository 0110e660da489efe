"""The interface of the ledger for the service that stores cameras' pictures (worker/ingest).

Implemented by PostgreSQL and, for tests, in memory.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

#: Stands for a pipeline in the service's heartbeats; no pipeline has a blank in its name.
INGEST = "mqtt ingest"
_ID_DIGITS = 32


@dataclass(frozen=True)
class Message:
    """A picture that a camera sent: a row of the table `messages`.

    Attributes:
        id: See `message_id`.
        pipeline: The pipeline whose input bucket it goes to.
        camera: The camera's name.
        boot: A start of the camera.
        number: Counts its pictures since then, from 1.
        key: Of its object.
        sha256: Of the picture, in hex.
        bytes: Its size.
    """

    id: str
    pipeline: str
    camera: str
    boot: str
    number: int
    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class KnownMessage:
    """What the ledger knew of a message that arrived again.

    Attributes:
        pipeline: The pipeline whose input bucket it goes to.
        sha256: Of the picture, in hex.
        is_stored: Whether its object was stored: then the message is only confirmed.
    """

    pipeline: str
    sha256: str
    is_stored: bool


@dataclass(frozen=True)
class CameraMinute:
    """What a camera counted in a minute: a row of the table `camera_minutes`.

    Attributes:
        camera: The camera's name.
        boot: A start of the camera.
        minute: When it began, by the camera's clock.
        first_number: The first number generated in it.
        last_number: The last one, less than the first if there were none.
        generated: How many pictures were generated.
        dropped: How many were dropped, perhaps generated earlier.
        bytes: The size of those generated.
        delay_median_ms: From a picture to its confirmation, None if nothing was confirmed.
        delay_p99_ms: The same, of 99 of 100 pictures.
        qos: Of the pictures (MQTT 5, 4.3): at 0 what does not arrive is lost.
        clock_offset: By how many seconds the camera's clock was before ours when it arrived; less
            by the time that the message took.
    """

    camera: str
    boot: str
    minute: datetime
    first_number: int
    last_number: int
    generated: int
    dropped: int
    bytes: int
    delay_median_ms: float | None
    delay_p99_ms: float | None
    qos: int
    clock_offset: float


#: By camera and boot: the smallest and the largest of some numbers.
NumberRanges = Mapping[tuple[str, str], tuple[int, int]]


def message_id(stack: str, camera: str, boot: str, number: int) -> str:
    """Return the id of a message, as if a job had made its object: known before any row exists."""
    text = "\0".join(("message", stack, camera, boot, str(number)))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


class MessageLedger(Protocol):
    """The messages of a stack. Every method raises ServiceUnavailable if the database fails."""

    def note(self, arrived: Sequence[Message], stored: Collection[str]) -> dict[str, KnownMessage]:
        """Note messages before their objects are stored, and after it.

        Args:
            arrived: Messages; each id at most once.
            stored: The ids of those whose objects are stored now.

        Returns:
            By id, what was known of those that had arrived before.
        """

    def unmarked(self) -> list[Message]:
        """Return the messages of the last day that are not known to be stored."""

    def count(self, minutes: Collection[CameraMinute]) -> None:
        """Note what cameras counted; repeating it changes nothing."""

    def recount(self, ranges: NumberRanges | None) -> None:
        """Count again what has arrived of minutes.

        Args:
            ranges: Numbers that were stored since; None: of all minutes of a week.
        """

    def purge(self) -> None:
        """Delete messages of more than a week ago that became jobs, as far as that ends soon."""

    def heartbeat(self, problem: str | None) -> None:
        """Record that the service runs, and what keeps it from storing messages, if anything."""
