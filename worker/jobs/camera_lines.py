"""A camera of a status report, for people."""

from collections.abc import Mapping
from typing import Any

#: How far a camera's clock may be off; one that is set over the network is far better.
CLOCK_SECONDS = 5


def missing(row: Mapping[str, Any]) -> int:
    """Return how many pictures a camera has counted that neither arrived nor were dropped by it."""
    return max(0, int(row["generated"] - row["received"] - row["dropped"]))


def camera_lines(camera: Mapping[str, Any]) -> list[str]:
    """Return a camera of a status report (worker/jobs/report.py) as lines."""
    lines = [f"stored {camera['stored']} during the last hour, for pipeline {camera['pipeline']}"]
    if camera["last_counted"] is None:
        return [*lines, "has sent no counters"]
    if generated := camera["generated"]:
        share = f"({100 * camera['missing'] / generated:.2f} %)"
        is_lost = camera["qos"] == 0
        missing = f"lost {camera['missing']} {share}" if is_lost else ""
        missing = missing or f"not received yet {camera['missing']}"
        lines.append(
            f"generated {generated}, {camera['bytes']} bytes, received {camera['received']}, "
            f"{missing}, dropped by the camera {camera['dropped']} (QoS {camera['qos']})"
        )
    if camera["delay_median_ms"] is not None:
        lines.append(
            f"from picture to confirmation {camera['delay_median_ms'] / 1000:.3f} s (median), "
            f"{camera['delay_p99_ms'] / 1000:.3f} s (p99 of the worst minute)"
        )
    offset = camera["clock_offset"] or 0
    if abs(offset) > CLOCK_SECONDS:
        where = "ahead" if offset > 0 else "behind"
        lines.append(f"its clock is {abs(offset):.0f} s {where}: set it")
    return [*lines, f"last counters {camera['last_counted']}"]
