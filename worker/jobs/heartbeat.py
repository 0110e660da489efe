"""The heartbeat of a pass: that it is running, its current problem, and the machine's load."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from worker.errors import ServiceUnavailable
from worker.ledger.ledger import Ledger
from worker.load import LoadMeter


class Heartbeat:
    """Writes heartbeats in a thread of its own, however long jobs and listings take.

    Args:
        ledger: The pipeline's ledger.
        seconds: The longest time between two.
        problem: Returns the current problem, if any.
        failed: Called with the reason if a heartbeat cannot be written; no more are written.
    """

    def __init__(
        self,
        ledger: Ledger,
        seconds: float,
        problem: Callable[[], str | None],
        failed: Callable[[str], None],
    ) -> None:
        self._ledger, self._seconds = ledger, seconds
        self._problem, self._failed = problem, failed
        self._meter = LoadMeter()
        self._soon, self._ended = threading.Event(), threading.Event()
        self._executor = ThreadPoolExecutor(1)
        self._thread: Future[None]

    def open(self) -> None:
        """Start the thread; the first heartbeat is written after `beat_soon` or the time."""
        self._thread = self._executor.submit(self._beat_repeatedly)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._soon.set()
        self._thread.result()
        self._executor.shutdown()

    def beat_soon(self) -> None:
        """Write one now."""
        self._soon.set()

    def _beat_repeatedly(self) -> None:
        while True:
            self._soon.wait(self._seconds)
            self._soon.clear()
            if self._ended.is_set():
                return
            try:
                self._ledger.heartbeat(self._problem(), self._meter.measure())
            except ServiceUnavailable as error:
                self._failed(str(error))
                return
