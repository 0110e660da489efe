"""Wait for a condition."""

import os
import time
from collections.abc import Callable
from typing import Any

_LONGEST_PAUSE = 0.1  # seconds


def patience() -> float:
    """Return the factor by which deadlines are longer on a slow machine (TEST_PATIENCE)."""
    return float(os.environ.get("TEST_PATIENCE") or 1)


def eventually(
    holds: Callable[[], Any], seconds: float = 60, what: str = "", every: float = 0.02
) -> Any:
    """Call `holds` until it returns something true, and return that; fail at the deadline."""
    seconds *= patience()
    begun = time.monotonic()
    while not (found := holds()):
        waited = time.monotonic() - begun
        assert waited < seconds, f"did not become true in {seconds} s: {what or holds}"
        # A question may be a login at a server, and other tests use the same cores.
        time.sleep(max(every, min(_LONGEST_PAUSE, waited / 10)))
    return found
