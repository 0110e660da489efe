"""Measure the CPU time (user + system) and memory of processes."""

import os
import resource
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Usage:
    """Resources used by a command and the children it waited for."""

    seconds: float  # wall clock
    cpu: float  # seconds
    system: float  # seconds of them in the kernel
    peak: int  # bytes: the largest sum of PSS seen (shared pages are counted once)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(start: Callable[[], "subprocess.Popen[str]"], interval: float = 0.2) -> Usage:
    """Run a command to its end.

    Args:
        start: Starts the process.
        interval: Seconds between two looks at its memory; 0 never looks.

    Returns:
        What it used.

    Raises:
        CalledProcessError: If it fails.
    """
    begun, peak = time.monotonic(), 0
    process = start()
    ended, poll = os.pidfd_open(process.pid), select.poll()
    poll.register(ended, select.POLLIN)
    while not poll.poll(1000 * interval if interval else None):
        peak = max(peak, pss(process.pid))
    seconds = time.monotonic() - begun
    os.close(ended)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Usage(seconds, used.ru_utime + used.ru_stime, used.ru_stime, peak)


def pss(pid: int) -> int:
    """Return the PSS in bytes of a process and its descendants, 0 if one of them just ended.

    PSS counts shared pages once: proc(5), smaps_rollup.

    Returns:
        Bytes.
    """
    total = 0
    try:
        root = psutil.Process(pid)
        ours = root.cmdline()
        for one in [root, *root.children(recursive=True)]:
            # Between vfork and exec a child shares its parent's memory, which would count twice.
            if one.pid != pid and one.cmdline() == ours:
                continue
            text = Path(f"/proc/{one.pid}/smaps_rollup").read_text(encoding="ascii")
            total += 1024 * int(text.partition("\nPss:")[2].split()[0])
    except (OSError, psutil.Error, IndexError):
        return 0
    return total


def tree_cpu_seconds(pid: int) -> float:
    """Return the CPU seconds so far of a process and its descendants, ended ones included."""
    total = 0.0
    root = psutil.Process(pid)
    for one in [root, *root.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.Error:
            continue  # it has just ended and counts among its parent's children
        total += times.user + times.system + times.children_user + times.children_system
    return total
