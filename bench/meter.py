"""What processes use: CPU time (user + system) and memory."""

import os
import resource
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Used:
    """By one command with all it started and waited for."""

    seconds: float  # wall clock
    cpu: float  # seconds
    peak: int  # bytes: the largest sum of PSS seen (shared pages are counted once)


def cpu() -> float:
    """Seconds of CPU of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def run(start: Callable[[], "subprocess.Popen[str]"], look: float = 0.2) -> Used:
    """Run a command to its end, looking at its memory each `look` seconds (0: never).

    CalledProcessError where it fails.
    """
    begun, peak = time.monotonic(), 0
    process = start()
    while True:
        ended, status, used = os.wait4(process.pid, os.WNOHANG if look else 0)
        if ended:
            break
        peak = max(peak, pss(process.pid))
        time.sleep(look)
    seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Used(seconds, used.ru_utime + used.ru_stime, peak)


def pss(pid: int) -> int:
    """Bytes of a process and its descendants (proc(5), smaps_rollup); 0: one of them just ended."""
    total = 0
    try:
        root = psutil.Process(pid)
        ours = root.cmdline()
        for one in [root, *root.children(recursive=True)]:
            # Between vfork and exec a child is in its parent's memory, which would count twice.
            if one.pid != pid and one.cmdline() == ours:
                continue
            text = Path(f"/proc/{one.pid}/smaps_rollup").read_text(encoding="ascii")
            total += 1024 * int(text.partition("\nPss:")[2].split()[0])
    except (OSError, psutil.Error, IndexError):
        return 0
    return total


def tree_cpu(pid: int) -> float:
    """Seconds of CPU so far of a process, its descendants, and those of them that ended."""
    total = 0.0
    root = psutil.Process(pid)
    for one in [root, *root.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.Error:
            continue  # it ends, and then counts among its parent's
        total += times.user + times.system + times.children_user + times.children_system
    return total
