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
    asked = begun
    while not (found := holds()):
        waited, took = time.monotonic() - begun, time.monotonic() - asked
        assert waited < seconds, f"did not become true in {seconds} s: {what or holds}"
        # A question may start programs, on the cores which the answer and other tests wait for.
        time.sleep(max(every, min(_LONGEST_PAUSE, waited / 10), took))
        asked = time.monotonic()
    return found
