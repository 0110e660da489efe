"""Threads for requests that are made side by side, each of which waits for the store's answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier
from typing import TypeVar

_THREADS = 8

Answer = TypeVar("Answer")


class RequestThreads:
    """Makes requests, eight at a time; several threads may ask for it.

    Its threads are started when it is made, before the pass. `Thread.start` waits until the new
    thread has begun, and without memory for that it waits for ever.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_THREADS)
        together = Barrier(_THREADS)  # so that each call needs a thread of its own
        wait([self._executor.submit(together.wait) for _ in range(_THREADS)])

    def make(self, requests: Sequence[Callable[[], Answer]]) -> list[Answer]:
        """Make all requests, or none further once one has failed.

        Returns:
            Their answers, in their order. Nothing of them runs any more, also after an error.
        """
        futures = [self._executor.submit(request) for request in requests]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def close(self) -> None:
        """End the threads; nothing may be running."""
        self._executor.shutdown()
