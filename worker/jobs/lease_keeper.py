"""The leases of keys: renewed while they are needed, checked before deletions."""

import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass

from worker.errors import ServiceUnavailable
from worker.ledger.ledger import LEASE_SECONDS, Lease, Ledger

# Age at which a lease is checked before it is relied on.
_CHECK_AGE = LEASE_SECONDS * 2 / 3


@dataclass
class _Kept:
    """A leased key.

    Attributes:
        fence: The largest that this machine got for it.
        renewed: When the lease was acquired or extended.
        users: How many jobs and deletions need it.
        is_abandoned: Whether a job may have left results that no row names.
    """

    fence: int
    renewed: float
    users: int
    is_abandoned: bool = False


class LeaseKeeper:
    """Keeps keys leased until they are released. It may be used from several threads.

    Most jobs end within seconds, without a renewal: their rows extend the leases. While an upload
    waits for its deletion, a newer one of its key may be started: the key then has a newer lease,
    and the older upload is deleted under that.

    Args:
        ledger: The pipeline's ledger.
        renew_after: The age in seconds at which a lease is renewed.
        pause: The seconds between two checks of the ages.
    """

    def __init__(
        self, ledger: Ledger, renew_after: float = LEASE_SECONDS / 3, pause: float = 5
    ) -> None:
        self._ledger, self._renew_after, self._pause = ledger, renew_after, pause
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew_repeatedly, daemon=True)

    def open(self) -> None:
        """Start to renew."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether leases are renewed."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End renewals."""
        self._ended.set()
        self._thread.join()

    def keep(self, leases: Iterable[Lease], since: float) -> None:
        """Keep leases that were acquired; each is to be released once.

        Args:
            leases: The leases.
            since: The time (`time.monotonic`) before the statement that acquired them.
        """
        with self._lock:
            for lease in leases:
                before = self._kept.get(lease.key)
                users = before.users if before else 0
                self._kept[lease.key] = _Kept(lease.fence, since, users + 1)

    def extend(self, leases: Iterable[Lease], since: float) -> None:
        """Note that leases were extended.

        Args:
            leases: The leases.
            since: The time (`time.monotonic`) before the statement that extended them.
        """
        with self._lock:
            for lease in leases:
                kept = self._kept.get(lease.key)
                if kept and kept.fence == lease.fence:
                    kept.renewed = since

    def release(self, keys: Iterable[str], abandoned: Collection[str] = ()) -> None:
        """Release keys once; the lease ends when no other job or deletion needs the key.

        Args:
            keys: The keys.
            abandoned: Those of jobs that may have left results which no row names. Their leases
                are not given back but end by themselves: the next job on such a key takes the
                lease for lost, so that `sweep` looks for these results.
        """
        released = []
        with self._lock:
            for key in keys:
                kept = self._kept[key]
                kept.users -= 1
                kept.is_abandoned |= key in abandoned
                if not kept.users:
                    del self._kept[key]
                    if not kept.is_abandoned:
                        released.append(Lease(key, kept.fence))
        self._ledger.release(released)

    def held(self, keys: Collection[str]) -> set[str]:
        """Return which keys are still leased. The ledger is asked if a lease may have ended.

        Raises:
            ServiceUnavailable: The database failed.
        """  # noqa: DOC502  raised by the ledger
        latest = time.monotonic() - _CHECK_AGE
        doubtful = self._older(latest, keys)
        lost = set(doubtful) - self._renew(doubtful)
        return set(keys) - {lease.key for lease in lost}

    def _older(self, latest: float, keys: Collection[str] | None = None) -> list[Lease]:
        """Return the leases that were not renewed since a time: of some keys, or of all."""
        with self._lock:
            kept = self._kept if keys is None else {key: self._kept[key] for key in keys}
            return [Lease(key, one.fence) for key, one in kept.items() if one.renewed < latest]

    def _renew(self, leases: Collection[Lease]) -> set[Lease]:
        if not leases:
            return set()
        now = time.monotonic()
        held = self._ledger.renew(leases)
        self.extend(held, now)
        return held

    def _renew_repeatedly(self) -> None:
        while not self._ended.wait(self._pause):
            with suppress(ServiceUnavailable):  # the job's own statement fails as well
                self._renew(self._older(time.monotonic() - self._renew_after))
