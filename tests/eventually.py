"""Waiting for what others do, without sleeping for luck."""

import os
import time
from collections.abc import Callable
from typing import Any


def patience() -> float:
    """By how much deadlines are longer than here, where the machine is slower (TEST_PATIENCE)."""
    return float(os.environ.get("TEST_PATIENCE") or 1)


def eventually(
    holds: Callable[[], Any], seconds: float = 60, what: str = "", every: float = 0.02
) -> Any:
    """Ask until the answer is true and return it; the test fails at the deadline."""
    seconds *= patience()
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"did not become true in {seconds} s: {what or holds}"
        time.sleep(every)
    return found
