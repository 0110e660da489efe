"""How often a request to the store is sent, and how long the pauses are."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """Attempts and pauses of a request whose failure may be temporary.

    Attributes:
        attempts: How often it is sent at most.
        wait_seconds: The longest pause before the second attempt; it doubles with each attempt.
        response_seconds: How long the store may send nothing.
    """

    attempts: int
    wait_seconds: float
    response_seconds: float = 60

    def pause_seconds(self, attempt: int) -> float:
        """Return a pause after an attempt (1, 2, …): random, so that machines do not synchronize.

        "Full jitter" of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        return random.uniform(0, self.wait_seconds * 2 ** (attempt - 1))  # noqa: S311


STANDARD = RetryPolicy(attempts=4, wait_seconds=1)
#: For a download: a response that stalls is given up soon; the upload is tried again later.
DOWNLOAD = RetryPolicy(attempts=4, wait_seconds=1, response_seconds=20)
#: For the first request of what a person waits for.
SOON = RetryPolicy(attempts=4, wait_seconds=1, response_seconds=5)
#: For a request that must not be repeated: one that seemed to fail may have worked.
ONCE = RetryPolicy(attempts=1, wait_seconds=0)
#: For a request that only checks whether the store responds.
PROBE = RetryPolicy(attempts=1, wait_seconds=0, response_seconds=5)
