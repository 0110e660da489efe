"""The leases of running jobs: renewed while a job takes long, checked before deletions."""

import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress

from worker.errors import ServiceUnavailable
from worker.ledger.ledger import LEASE_SECONDS, Lease, Ledger

_CHECKED_AFTER = LEASE_SECONDS * 2 / 3


class LeaseKeeper:
    """Keeps leases until they are released. It may be used from several threads.

    Most jobs end within seconds, without a renewal: their rows extend the leases.

    Args:
        ledger: The pipeline's ledger.
        renew_after: The age in seconds at which a lease is renewed.
        pause: The seconds between two looks at the ages.
    """

    def __init__(
        self, ledger: Ledger, renew_after: float = LEASE_SECONDS / 3, pause: float = 5
    ) -> None:
        self._ledger, self._renew_after, self._pause = ledger, renew_after, pause
        self._renewed: dict[Lease, float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew_repeatedly, daemon=True)

    def open(self) -> None:
        """Start to renew."""
        self._thread.start()

    def close(self) -> None:
        """End renewals."""
        self._ended.set()
        self._thread.join()

    def keep(self, leases: Iterable[Lease], since: float) -> None:
        """Keep leases that were acquired or extended.

        Args:
            leases: The leases.
            since: The time (`time.monotonic`) before the statement that did so.
        """
        with self._lock:
            self._renewed |= dict.fromkeys(leases, since)

    def release(self, leases: Collection[Lease]) -> None:
        """Give leases back."""
        with self._lock:
            for lease in leases:
                self._renewed.pop(lease, None)
        self._ledger.release(leases)

    def held(self, leases: Collection[Lease]) -> set[Lease]:
        """Return which leases are still held. The ledger is asked if one may have ended.

        Raises:
            ServiceUnavailable: The ledger did not answer.
        """  # noqa: DOC502  raised by the ledger
        latest = time.monotonic() - _CHECKED_AFTER
        with self._lock:
            doubtful = [lease for lease in leases if self._renewed.get(lease, 0) < latest]
        lost = set(doubtful) - self._renew(doubtful)
        return set(leases) - lost

    def _renew(self, leases: Collection[Lease]) -> set[Lease]:
        if not leases:
            return set()
        now = time.monotonic()
        held = self._ledger.renew(leases)
        with self._lock:
            self._renewed |= {lease: now for lease in held if lease in self._renewed}
        return held

    def _renew_repeatedly(self) -> None:
        while not self._ended.wait(self._pause):
            latest = time.monotonic() - self._renew_after
            with self._lock:
                due = [lease for lease, since in self._renewed.items() if since < latest]
            with suppress(ServiceUnavailable):  # the job notices it with its own statement
                self._renew(due)
