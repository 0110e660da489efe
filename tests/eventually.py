"""Wait for a condition."""

import os
import time
from collections.abc import Callable
from typing import Any


def patience() -> float:
    """Return the factor by which deadlines are longer on a slow machine (TEST_PATIENCE)."""
    return float(os.environ.get("TEST_PATIENCE") or 1)


def eventually(
    holds: Callable[[], Any], seconds: float = 60, what: str = "", every: float = 0.02
) -> Any:
    """Call `holds` until it returns something true, and return that; fail at the deadline."""
    seconds *= patience()
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"did not become true in {seconds} s: {what or holds}"
        time.sleep(every)
    return found
