"""The mode of passes: each lists for itself, or several machines share a queue."""

import time

from worker.ledger.ledger import Ledger

# A machine that restarts again and again must not end the passes of the others each time: they
# would wait for their longest job.
_ALONE_SECONDS = 30


class Mode:
    """The mode of a machine's passes, by the heartbeats of the pipeline's machines.

    All methods raise ServiceUnavailable if the database fails.

    Args:
        ledger: The pipeline's ledger.
        machine: This machine's name.
        lingers: Whether passes wait for further uploads; others always list by themselves.
    """

    def __init__(self, ledger: Ledger, machine: str, *, lingers: bool) -> None:
        self._ledger, self._machine, self._lingers = ledger, machine, lingers
        self._is_shared = False
        self._latest = 0.0  # when another machine was live last

    def choose(self) -> bool:
        """Choose the mode of the next pass; return whether it shares a queue."""
        self._is_shared = self._sees_others()
        return self._is_shared

    def is_outdated(self) -> bool:
        """Return whether the pass should end, since the other mode is due."""
        if self._sees_others():
            return not self._is_shared
        return self._is_shared and time.monotonic() - self._latest > _ALONE_SECONDS

    def _sees_others(self) -> bool:
        """Return whether another machine is live."""
        if not self._lingers or {*self._ledger.live_machines()} <= {self._machine}:
            return False
        self._latest = time.monotonic()
        return True
