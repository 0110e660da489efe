"""What a running fleet and its servers use for a number of uploads that arrive at once."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.fleet import Fleet
from bench.testbed import Testbed

_DONE = """
SELECT count(*)
FROM (SELECT outcome FROM pipeline.results ORDER BY created_at DESC LIMIT %s) AS latest
WHERE outcome = 'done'
"""


@dataclass(frozen=True)
class FleetUsage:
    """Resources used for an upload, in milliseconds.

    Attributes:
        wall: By the clock, of all uploads together, divided by their number.
        cpu: Of the workers' processes.
        store: Of the store's CPU.
        database: Of PostgreSQL's CPU.
    """

    wall: float
    cpu: float
    store: float
    database: float


def measure(
    testbed: Testbed, fleet: Fleet, count: int, upload: Callable[[int], tuple[str, bytes]]
) -> FleetUsage:
    """Let a fleet that is ready process uploads, until the last one is recorded and deleted.

    Args:
        testbed: The servers.
        fleet: The workers.
        count: The number of uploads.
        upload: Returns the key and content of an upload.

    Returns:
        What they used.

    Raises:
        RuntimeError: Some were not done.
    """
    begun = _used(testbed, fleet)
    testbed.fill(count, upload)
    arrived = time.monotonic()
    testbed.await_empty()
    seconds = time.monotonic() - arrived
    used = [end - start for start, end in zip(begun, _used(testbed, fleet), strict=True)]
    [done] = testbed.pipeline.sql(_DONE, count)
    if done["count"] != count:
        raise RuntimeError(f"{done['count']} of {count} jobs were done")
    return FleetUsage(*(1000 * value / count for value in (seconds, *used)))


def _used(testbed: Testbed, fleet: Fleet) -> tuple[float, float, float]:
    return fleet.cpu(), testbed.store_cpu(), testbed.database_cpu()
