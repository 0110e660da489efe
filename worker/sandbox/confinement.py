"""Restrictions that a transform's process asks the kernel to enforce on itself.

All of them only remove rights. Those that this platform cannot enforce are returned and reported.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from worker.sandbox import landlock
from worker.sandbox.seccomp import forbid_system_calls
from worker.uploads.upload import MAX_PUT_BYTES

_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h
#: What is not enforced by a kernel without Landlock.
NO_LANDLOCK = "other files, including the worker's credentials: no Landlock here"


def confine(
    memory_bytes: int,
    parent: int,
    readable: Sequence[Path] = (),
    scratch: Path | None = None,
) -> list[str]:
    """Limit memory; forbid the network, other programs and most files to this process.

    Only the current folder can be written; Python and its libraries can be read. It must be called
    before the process has threads: Landlock applies to the thread that asks for it and to those
    that it starts.

    Args:
        memory_bytes: The limit of the address space.
        parent: The process id of the parent; when it dies, this process is killed.
        readable: Further files and folders that can be read.
        scratch: A further folder that can be written, where folders can be made too.

    Returns:
        What could not be enforced here, one phrase each.
    """
    problems = limit_resources(
        {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_NOFILE: _OPEN_FILES}
    )
    if sys.platform != "linux":
        return [*problems, "network, other programs, death with the parent: Linux only"]
    libc = c_library()
    problems += give_up_rights(libc, parent)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        problems.append("other files, to threads that the transform's imports started")
    rules = landlock.open_rules(_allowed(readable, scratch))
    if not landlock.forbid_files(libc, rules):
        problems.append(NO_LANDLOCK)
    for _, descriptor in rules:
        os.close(descriptor)
    if not forbid_system_calls(libc):
        problems.append(f"network, other programs: no filter for {os.uname().machine} here")
    return problems


@cache
def c_library() -> ctypes.CDLL:
    """Return the C library; it is loaded once, also for forked processes."""
    return ctypes.CDLL(None, use_errno=True)


def limit_resources(limits: Mapping[int, int]) -> list[str]:
    """Set limits of this process, and those of files that it writes; return what is refused."""
    problems = []
    usual = {resource.RLIMIT_FSIZE: MAX_PUT_BYTES, resource.RLIMIT_CORE: 0}
    for limit, value in {**usual, **limits}.items():
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError) as error:
            problems.append(f"resource limit {limit}: {error}")
    return problems


def give_up_rights(libc: ctypes.CDLL, parent: int) -> list[str]:
    """Give up capabilities, and die with the parent.

    Args:
        libc: The C library.
        parent: The process id of the parent.

    Returns:
        What could not be enforced here, one phrase each.
    """
    problems = []
    try:
        # When memory is short, the kernel kills this process before the worker and other services.
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  pathlib takes longer, for each job of a command
            file.write("1000")
    except OSError as error:
        problems.append(f"oom_score_adj: {error.strerror}")
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)  # the parent died before PR_SET_PDEATHSIG
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # If it is root, its capabilities are restricted by neither Landlock nor seccomp.
    libc.capset(struct.pack("Ii", _CAPABILITY_VERSION, 0), bytes(24))
    return problems


def _allowed(readable: Sequence[Path], scratch: Path | None) -> dict[str, int]:
    """Return the rights to each folder and what is below it.

    Folders cannot be listed except those of this process, `readable` and those of Python's modules,
    which are listed to import from them.
    """
    package = str(Path(__file__).parents[1])
    installed = (sys.prefix, sys.base_prefix)
    libraries = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", *installed)
    allowed = dict.fromkeys(libraries, landlock.READ)
    # Not every folder of sys.path: the worker's is a whole checkout where it runs from one.
    modules = [path for path in sys.path if path.startswith(installed) and Path(path).is_dir()]
    readable_paths = [package, *modules, *map(str, readable)]
    allowed |= dict.fromkeys(readable_paths, landlock.READ | landlock.LIST)
    if scratch:
        allowed[str(scratch)] = landlock.TREE
    return allowed | {str(Path.cwd()): landlock.FILES}


class CpuLimit:
    """The limit on the CPU time of each job of this process (RLIMIT_CPU).

    Args:
        seconds: What a job may take; the kernel kills the process at most a second later.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds, self._soft = seconds, 0
        self._hard = resource.getrlimit(resource.RLIMIT_CPU)[1]

    def renew(self) -> None:
        """Begin a job."""
        soft = int(time.process_time()) + self._seconds + 1
        if soft != self._soft:  # the same for hundreds of small files
            resource.setrlimit(resource.RLIMIT_CPU, (soft, self._hard))
            self._soft = soft
