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
        due: Set to have one written now.
        is_live: Whether the pass goes on, and waits for further uploads.
        problem: Returns the current problem, if any.
        written: Called after each. It may raise ServiceUnavailable.
        failed: Called with the reason if that or a heartbeat fails; no more are written.
    """

    def __init__(
        self,
        ledger: Ledger,
        seconds: float,
        due: threading.Event,
        *,
        is_live: bool,
        problem: Callable[[], str | None],
        written: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._ledger, self._seconds = ledger, seconds
        self._is_live, self._problem = is_live, problem
        self._written, self._failed = written, failed
        self._meter = LoadMeter()
        self._due, self._ended = due, threading.Event()
        self._executor = ThreadPoolExecutor(1)
        self._thread: Future[None]

    def open(self) -> None:
        """Start the thread; the first heartbeat is written when it is due, or after the time."""
        self._thread = self._executor.submit(self._beat_repeatedly)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._due.set()
        self._thread.result()
        self._executor.shutdown()

    def _beat_repeatedly(self) -> None:
        while True:
            self._due.wait(self._seconds)
            self._due.clear()
            if self._ended.is_set():
                return
            try:
                load = self._meter.measure()
                self._ledger.heartbeat(self._problem(), load, is_live=self._is_live)
                self._written()
            except ServiceUnavailable as error:
                self._failed(str(error))
                return
