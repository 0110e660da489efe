"""The processes that descend from this one: what they use, and how all of them end."""

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAUSE = 0.002
#: Fields of /proc/PID/stat after the name: parent, times of itself and of ended children, pages.
_PARENT, _FIRST_TIME, _LAST_TIME, _RESIDENT = 1, 11, 15, 21


class TreeUsage(NamedTuple):
    """What processes use.

    Attributes:
        memory: Bytes that are resident; what they share is counted for each of them.
        cpu: Seconds, with those of descendants that have ended.
    """

    memory: int
    cpu: float


def adopt_orphans(libc: ctypes.CDLL) -> None:
    """Become the parent of descendants whose parent ends (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[int]:
    """Return the ids of all processes that descend from this one, also of those that have ended."""
    try:
        return _by_children([os.getpid()])
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return _by_parents()


def measure(pids: Iterable[int]) -> TreeUsage:
    """Return what processes use; those that have ended in the meantime are left out."""
    memory, ticks = 0, 0
    for pid in pids:
        if fields := _stat(pid):
            memory += int(fields[_RESIDENT]) * _PAGE
            ticks += sum(map(int, fields[_FIRST_TIME:_LAST_TIME]))
    return TreeUsage(memory, ticks / _TICKS)


def proportional_memory(pids: Iterable[int]) -> int:
    """Return the bytes that processes use, shared ones counted once (proc(5), smaps_rollup)."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/smaps_rollup") as file:  # noqa: PTH123
            total += 1024 * int(file.read().partition("\nPss:")[2].split()[0])
    return total


def kill_descendants() -> None:
    """Kill all processes that descend from this one, which has adopted orphans, and reap them."""
    while True:
        for pid in descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return  # no child, and so no descendant
        time.sleep(_PAUSE)


def _by_children(parents: list[int]) -> list[int]:
    found: list[int] = []
    while parents:
        parent = parents.pop()
        tasks: list[str] = []
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            tasks = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208
        for task in tasks:
            path = f"/proc/{parent}/task/{task}/children"
            try:
                with open(path) as file:  # noqa: PTH123
                    children = list(map(int, file.read().split()))
            except (FileNotFoundError, ProcessLookupError):
                if parent == os.getpid():
                    raise
                continue
            found += children
            parents += children
    return found


def _by_parents() -> list[int]:
    parents = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (fields := _stat(int(name))):
            parents[int(name)] = int(fields[_PARENT])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return []
