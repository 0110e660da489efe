"""Topics: `image-pipeline/CAMERA/BOOT/NUMBER`, and `counters` or `confirmed` as the number."""

import re
from dataclasses import dataclass

from worker.broker import TOPICS
from worker.errors import MessageRefused

COUNTERS, CONFIRMED = "counters", "confirmed"
#: All that cameras send; the broker lets each write below its own name only.
ALL = f"{TOPICS}/#"
_BOOT = re.compile("[a-z0-9-]{1,32}")
_NUMBER = re.compile("[1-9][0-9]{0,17}")  # PostgreSQL's bigint has 19 digits
_LEVELS = 4
#: Longer ones have no valid topic of confirmations, and numbers that Python does not convert.
_MAX_LENGTH = 1000


@dataclass(frozen=True)
class Address:
    """Where a message was sent to, as it was written: none of it is checked.

    Attributes:
        camera: The camera's name.
        boot: A start of the camera.
        number: Of the picture, or another word.
    """

    camera: str
    boot: str
    number: str

    @property
    def confirmation_topic(self) -> str:
        """The topic of confirmations for this start of the camera."""
        return f"{TOPICS}/{self.camera}/{self.boot}/{CONFIRMED}"

    @property
    def is_picture(self) -> bool:
        """Whether the number is one of a picture, as only its confirmations may name it."""
        return _NUMBER.fullmatch(self.number) is not None

    def check_boot(self) -> None:
        """Raise MessageRefused if the start's name is not valid."""
        if not _BOOT.fullmatch(self.boot):
            raise MessageRefused(
                f"{self.boot[:40]!r} in the topic must be 1 to 32 of a-z, 0-9 and '-': "
                f"send to {TOPICS}/CAMERA/BOOT/NUMBER."
            )

    def picture_number(self) -> int:
        """Return the number of a picture.

        Raises:
            MessageRefused: It is none, or the start's name is not valid.
        """
        self.check_boot()
        if not self.is_picture:
            raise MessageRefused(
                f"{self.number[:40]!r} in the topic must be a whole number from 1, without leading "
                f"zeros and of at most 18 digits: send to {TOPICS}/CAMERA/BOOT/NUMBER."
            )
        return int(self.number)


def read_topic(topic: str) -> Address | None:
    """Return the address of a message for this service, None for any other topic.

    Raises:
        MessageRefused: The topic has too few or too many levels, or is too long for an answer.
    """
    first, *levels = topic.split("/")
    if first != TOPICS:
        return None
    if len(levels) != _LEVELS - 1:
        raise MessageRefused(
            f"The topic {topic[:80]!r} must have four levels: send to {TOPICS}/CAMERA/BOOT/NUMBER."
        )
    if len(topic) > _MAX_LENGTH:
        raise MessageRefused(f"The topic {topic[:80]!r}… is longer than {_MAX_LENGTH} characters.")
    address = Address(*levels)
    return None if address.number == CONFIRMED else address
