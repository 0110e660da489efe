"""Restrictions that the kernel enforces on a transform's process at its own request.

All of them only remove rights. What this platform cannot enforce is returned and reported.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path

from worker.uploads.upload import MAX_PUT_BYTES

_OPEN_FILES = 64
# landlock(7): system call numbers (the same on all architectures), flags and access rights.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _PATH_BENEATH, _VERSION = 444, 445, 446, 1, 1
_WRITE, _READ, _REMOVE, _MAKE = 1 << 1, 1 << 2, 1 << 5, 1 << 8
# Everything but files: folders, devices, sockets, pipes, symbolic links.
_OTHERS = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12
_TRUNCATE, _TRUNCATE_VERSION = 1 << 14, 3
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# Architectures (linux/audit.h) and the numbers of the forbidden system calls: socket, socketpair,
# connect, sendto, execve, execveat, ptrace, process_vm_readv, process_vm_writev, io_uring_setup,
# bpf, userfaultfd, unshare, setns, mount, pidfd_getfd, kill, tgkill (asm/unistd_64.h,
# asm-generic/unistd.h).
_SYSTEM_CALLS = {
    "x86_64": (
        0xC000003E,
        (41, 53, 42, 44, 59, 322, 101, 310, 311, 425, 321, 323, 272, 308, 165, 438, 62, 234),
    ),
    "aarch64": (
        0xC00000B7,
        (198, 199, 203, 206, 221, 281, 117, 270, 271, 425, 280, 282, 97, 268, 40, 438, 129, 131),
    ),
}
_X32 = 0x40000000  # on x86-64 the same calls have a second number


def confine(memory_bytes: int, parent: int, readable: Path | None = None) -> list[str]:
    """Limit memory; forbid the network, other programs and most files to this process.

    Only the current folder can be written; Python and its libraries can be read.

    Args:
        memory_bytes: The limit of the address space.
        parent: The process id of the parent; when it dies, this process is killed.
        readable: A further folder that can be read.

    Returns:
        What could not be enforced here, one phrase each.
    """
    problems = []
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, MAX_PUT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError) as error:
            problems.append(f"resource limit {limit}: {error}")
    if sys.platform != "linux":
        return [*problems, "network, other programs, death with the parent: Linux only"]
    try:
        # Killed first when memory is short, rather than the worker or other services.
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError as error:
        problems.append(f"oom_score_adj: {error.strerror}")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if _parent() != parent:
        sys.exit(1)  # the parent died before PR_SET_PDEATHSIG
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if not _forbid_files(libc, readable):
        problems.append("other files, including the worker's credentials: no Landlock here")
    if not _forbid_system_calls(libc):
        problems.append(f"network, other programs: no filter for {platform.machine()} here")
    return problems


def limit_cpu(seconds: int) -> None:
    """Have the kernel kill this process after so many more seconds of CPU time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _parent() -> int:
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[1])


def _forbid_files(libc: ctypes.CDLL, readable: Path | None) -> bool:
    """Allow no files but these folders, Python and its libraries (landlock(7)).

    Without it the process could read what the worker's user can: credentials, and the worker's
    memory through /proc.

    Returns:
        Whether the kernel supports it.
    """
    own = _WRITE | _READ | _REMOVE | _MAKE
    if libc.syscall(_CREATE_RULESET, None, 0, _VERSION) >= _TRUNCATE_VERSION:
        own |= _TRUNCATE
    handled = struct.pack("Q", own | _OTHERS)
    rules = libc.syscall(_CREATE_RULESET, handled, len(handled), 0)
    if rules < 0:
        return False
    programs = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", sys.prefix, sys.base_prefix)
    allowed = dict.fromkeys((*programs, str(Path(__file__).parents[1])), _READ)
    if readable:
        allowed[str(readable)] = _READ
    allowed[str(Path.cwd())] = own
    for path, access in allowed.items():
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
            os.close(descriptor)
    enforced = bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    os.close(rules)
    return enforced


def _forbid_system_calls(libc: ctypes.CDLL) -> bool:
    """Make the forbidden calls fail with EPERM (seccomp(2)).

    A program in classic BPF compares the call's number with each of them.

    Returns:
        Whether the kernel supports it, and the numbers of this architecture are known.
    """
    if platform.machine() not in _SYSTEM_CALLS or sys.maxsize < 2**32:
        return False
    architecture, forbidden = _SYSTEM_CALLS[platform.machine()]
    kill, deny, allow = 0x80000000, 0x00050001, 0x7FFF0000
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    program = [
        (load, 0, 0, 4),  # seccomp_data.arch
        (equal, 1, 0, architecture),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),  # seccomp_data.nr
        (at_least, len(forbidden) + 1, 0, _X32),
        *((equal, len(forbidden) - i, 0, number) for i, number in enumerate(forbidden)),
        (answer, 0, 0, allow),
        (answer, 0, 0, deny),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    packed = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    return not libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, packed, 0, 0)
