"""How busy this machine is.

The worker's unit hides most of /proc (`ProcSubset=pid`), but not /sys, where the root control group
has the CPU time since boot, and each NUMA node the use of its memory
(Linux, admin-guide/cgroup-v2.rst, "cpu.stat"; ABI/stable/sysfs-devices-node).
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SHORTEST = 1.0  # seconds; the fraction of a shorter interval is noise
_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE, _IOWAIT = 3, 4  # numbers on the first line of /proc/stat (proc_stat(5))
_NODE = {"MemTotal", "MemFree", "FilePages", "Shmem"}


@dataclass(frozen=True)
class Load:
    """How busy a machine is; None is unknown.

    Attributes:
        cores: Its number of cores.
        cpu: The fraction of all cores' CPU time that was used in the last interval.
        memory_used: Bytes in use; caches count as free.
        memory_total: Bytes.
    """

    cores: int | None = None
    cpu: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None


class LoadMeter:
    """Measures this machine; a machine without /proc and /sys has an unknown load.

    Args:
        root: Where /proc and /sys are.
        clock: Returns seconds.
    """

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._proc, self._sys, self._clock = root / "proc", root / "sys", clock
        self._cores = os.cpu_count() or 1
        self._since, self._busy = clock(), self._busy_seconds()
        self._fraction: float | None = None

    def measure(self) -> Load:
        """Return the load; the CPU's is that since the last measurement."""
        now = self._clock()
        if (elapsed := now - self._since) >= _SHORTEST:
            busy = self._busy_seconds()
            self._fraction = None
            if busy is not None and self._busy is not None:
                used = (busy - self._busy) / (elapsed * self._cores)
                self._fraction = min(1.0, max(0.0, used))
            self._since, self._busy = now, busy
        return Load(self._cores, self._fraction, *self._memory())

    def _busy_seconds(self) -> float | None:
        """Return the CPU time that all cores have used since boot."""
        # Up to the time that was stolen: guests' is in that of users.
        if line := re.match(r"cpu((?: +\d+){5,8})", _read(self._proc / "stat")):
            ticks = [int(each) for each in line[1].split()]
            return (sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]) / _TICKS
        # `unified` is where systemd mounts version 2 beside version 1.
        for folder in ("fs/cgroup", "fs/cgroup/unified"):
            usage = re.search(r"^usage_usec (\d+)", _read(self._sys / folder / "cpu.stat"), re.M)
            if usage:
                return int(usage[1]) / 1e6
        return None

    def _memory(self) -> tuple[int | None, int | None]:
        """Return the bytes of memory that are used, and all."""
        found = _kilobytes(_read(self._proc / "meminfo"))
        if {"MemAvailable", "MemTotal"} <= found.keys():
            return found["MemTotal"] - found["MemAvailable"], found["MemTotal"]
        nodes = sorted((self._sys / "devices/system/node").glob("node*/meminfo"))
        sums = [_kilobytes(_read(each)) for each in nodes]
        if not all(each.keys() >= _NODE for each in sums) or not sums:
            return None, None
        total = sum(each["MemTotal"] for each in sums)
        # What the kernel can drop: cached files without tmpfs, and its own caches.
        free = sum(
            each["MemFree"] + each["FilePages"] - each["Shmem"] + each.get("SReclaimable", 0)
            for each in sums
        )
        return total - free, total


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _kilobytes(text: str) -> dict[str, int]:
    """Return the values of a meminfo file in bytes, by name."""
    return {name: 1024 * int(value) for name, value in re.findall(r"(\w+): +(\d+) kB", text)}
