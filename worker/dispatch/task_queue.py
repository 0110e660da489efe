"""This machine's end of the queue: a procrastinate worker in a thread of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from worker.dispatch.bundle import Bundle
from worker.settings import Settings


@dataclass(frozen=True, eq=False)
class Assigned:
    """A bundle that this machine has got.

    Attributes:
        bundle: The bundle.
        finish: Ends its task: none of its keys is queued or running here any more. It may be called
            from any thread, also after the queue was closed.
    """

    bundle: Bundle
    finish: Callable[[], None]


class TaskQueue:
    """This machine's procrastinate worker.

    Args:
        settings: Where the database is.
        pipeline: The pipeline's name.
        slots: How many bundles this machine has at a time.
        receive: Called with each bundle, in the queue's thread; it must return at once.
        failed: Called with a sentence once the queue no longer works, in the queue's thread.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: str,
        slots: int,
        receive: Callable[[Assigned], None],
        failed: Callable[[str], None],
    ) -> None:
        self._settings, self._pipeline, self._slots = settings, pipeline, slots
        self._receive, self._failed = receive, failed

    def open(self) -> None:
        """Begin to receive bundles.

        Raises:
            ServiceUnavailable: The database failed.
        """
        raise NotImplementedError

    @property
    def problem(self) -> str | None:
        """Why the queue no longer works; None if it does."""
        raise NotImplementedError

    def close(self) -> None:
        """Give unfinished bundles back, so that any machine may get them at once."""
        raise NotImplementedError
