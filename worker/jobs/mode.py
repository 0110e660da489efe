"""How a pass gets its works: by itself, or from a queue that several machines share."""

import time

from worker.ledger.ledger import Ledger

# A machine that restarts again and again must not end the passes of the others each time: they
# would wait for their longest job.
_ALONE_SECONDS = 30


class Mode:
    """Decides by the heartbeats of a pipeline's machines.

    All methods raise ServiceUnavailable if the database fails.

    Args:
        ledger: The pipeline's ledger.
        machine: This machine's name.
        lingers: Whether passes wait for further uploads; others always list by themselves.
    """

    def __init__(self, ledger: Ledger, machine: str, *, lingers: bool) -> None:
        self._ledger, self._machine, self._lingers = ledger, machine, lingers
        self._is_shared = False
        self._met = 0.0  # when another machine was live last

    def choose(self) -> bool:
        """Return whether the next pass shares the work with others."""
        self._is_shared = self._meets()
        return self._is_shared

    def is_outdated(self) -> bool:
        """Return whether the next pass should get its works in the other way."""
        if self._meets():
            return not self._is_shared
        return self._is_shared and time.monotonic() - self._met > _ALONE_SECONDS

    def _meets(self) -> bool:
        """Return whether another machine is live."""
        if not self._lingers or {*self._ledger.live_machines()} <= {self._machine}:
            return False
        self._met = time.monotonic()
        return True
