"""How due works are divided into bundles, which machines get one after another."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from worker.dispatch.bundle import Bundle
from worker.jobs.work_queue import BATCH_BYTES
from worker.ledger.ledger import Attempt
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload


@dataclass(frozen=True)
class Due:
    """Work that a machine may begin.

    Attributes:
        work: The work for a key.
        attempts: What is known about those of its uploads that were tried before.
    """

    work: KeyUploads
    attempts: Mapping[Upload, Attempt]

    @property
    def size(self) -> int:
        """The bytes of its uploads, and of what they gather."""
        return self.work.gathered + sum(upload.size for upload in self.work.uploads)

    @property
    def is_slow(self) -> bool:
        """Whether it may keep a thread for long: it is large, or was tried before."""
        return self.size > BATCH_BYTES or bool(self.attempts)

    @property
    def is_shareable(self) -> bool:
        """Whether it may be in a bundle with others."""
        return (self.work.is_single or not self.work.uploads) and not self.is_slow


def bundles(due: Iterable[Due], threads: int, limit: int, following: int = 0) -> Iterator[Bundle]:
    """Divide works, in their order.

    A bundle is at most a thread's share of what is left, so that all end at about the same time.
    A key with several uploads, a large one, and one that was tried before have their own.

    Args:
        due: The works.
        threads: The number of threads of all machines.
        limit: The largest number of works of a bundle.
        following: The number of works that are known to follow these.

    Yields:
        The bundles.
    """
    left = deque(due)
    while left:
        number = min(limit, -(-(len(left) + following) // threads))
        chosen = [left.popleft()]
        size = chosen[0].size
        while left and len(chosen) < number:
            size += left[0].size
            if size > BATCH_BYTES or not (chosen[0].is_shareable and left[0].is_shareable):
                break
            chosen.append(left.popleft())
        attempts = {upload: one for each in chosen for upload, one in each.attempts.items()}
        yield Bundle([each.work for each in chosen], attempts, chosen[0].is_slow)
