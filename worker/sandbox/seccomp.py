"""The system calls that a transform's process may not make (seccomp(2)).

No library: pyseccomp 0.1.2, of 2021, takes 17 to 26 ms of CPU at each start of a child (this module
and landlock.py 2 to 3 ms), starts programs to find libseccomp, and knows only the calls that the
distribution's libseccomp knows. Packages for Landlock take as long, and lack network and scopes or
a release (docs/threat-model.md).
"""

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from functools import cache

_SET_MODE_FILTER, _SYNCHRONIZE_THREADS = 1, 1
_EPERM, _ENOSYS = 1, 38
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
#: Architectures (linux/audit.h), and the number of seccomp(2).
_ARCHITECTURES = {"x86_64": (0xC000003E, 317), "aarch64": (0xC00000B7, 277)}

#: Calls by name: their numbers on x86-64 and aarch64 (asm/unistd_64.h,
#: asm-generic/unistd.h), None where there is no such call.
_Calls = dict[str, tuple[int | None, int | None]]
#: Calls that fail with EPERM.
FORBIDDEN: _Calls = {
    # The network. The calls after socket(2) matter for inherited sockets only.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "sendto": (44, 206),
    # Other programs and processes; clone(2) is below.
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "setpgid": (109, 154),  # the parent kills the process group
    "setsid": (112, 157),
    # Signals.
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    # Memory, state and priority of processes of the same user.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "perf_event_open": (298, 241),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    # Namespaces and file systems.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    # Files, past Landlock: watching folders, truncation before Linux 6.2, owners and attributes.
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "truncate": (76, 45),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    # Memory outside the limit of the address space, or that outlives the process.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # The user's keys, and interfaces where the kernel had many errors.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
}
#: Calls that do nothing and report success: libraries set modes and times of files that they copy
#: (shutil.copy), results have neither, and Landlock does not restrict these calls to any folder.
IGNORED: _Calls = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
# Calls that are allowed or forbidden by an argument.
#: Allowed with CLONE_THREAD: no new processes.
_THREADS: _Calls = {"clone": (56, 220)}
#: Allowed with the process id 0: only for the process itself.
_OF_ITSELF: _Calls = {
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}
#: Allowed with the process's own id: abort(3) sends itself a signal.
_ABORT: _Calls = {"tgkill": (234, 131)}
#: Forbidden with single options.
_PRCTL: _Calls = {"prctl": (157, 167)}
_FCNTL: _Calls = {"fcntl": (72, 25)}
_CLONE3 = 435  # its flags are in memory, which a filter cannot read: libc falls back to clone(2)
#: The newest call in these tables (Linux 6.17). Newer calls, and the x32 numbers of x86-64, fail
#: with ENOSYS.
_NEWEST = 469
_CLONE_THREAD = 0x10000
#: What the process of a command may do in addition: start programs, and end them.
_FOR_PROGRAMS = frozenset(
    {
        "socketpair",
        "sendto",
        "execve",
        "execveat",
        "fork",
        "vfork",
        "setpgid",
        "setsid",
        "kill",
        "tkill",
        "rt_sigqueueinfo",
        "rt_tgsigqueueinfo",
        "pidfd_open",
        "pidfd_send_signal",
        "memfd_create",
    }
)
#: Forbidden with these flags: new namespaces, in which a process has capabilities (clone(2)).
_NAMESPACES = 0x7E020000
#: Forbidden with SOCK_DGRAM or SOCK_RAW, which could be connected to a service of the machine.
_PAIRS: _Calls = {"socketpair": (53, 199)}
_UNCONNECTED = 2
#: Allowed, where the network is, for AF_INET, AF_INET6 and AF_NETLINK, which lists interfaces; not
#: for AF_UNIX, which reaches services of the machine.
_SOCKETS: _Calls = {"socket": (41, 198)}
_INTERNET = (2, 10, 16)
_PR_SET_PDEATHSIG = 1
_F_SETOWN, _F_SETOWN_EX = 8, 15  # a signal to another process when a pipe can be read

# Classic BPF: load a word; compare it; jump if bits are set; return.
_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in seccomp_data
_Instruction = tuple[int, int, int, int]


def forbid_system_calls(libc: ctypes.CDLL) -> bool:
    """Forbid what a transform does not need, to all threads of this process.

    It needs no network, no other programs or processes, and no influence on processes of its user.

    Args:
        libc: The C library.

    Returns:
        Whether the kernel supports it, and the numbers of this architecture are known.
    """
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        return False
    return _install(libc, machine, _packed(program(machine, os.getpid())))


def forbid_to_command(libc: ctypes.CDLL, *, network: bool) -> bool:
    """Forbid what a command does not need, to all threads of this process and to its descendants.

    It may start programs, signal them (Landlock's scopes restrict whom), and change files' modes
    and times.

    Args:
        libc: The C library.
        network: Whether it may use the network.

    Returns:
        As `forbid_system_calls`.
    """
    machine = os.uname().machine
    instructions = command_filter(machine, network=network)
    return bool(instructions) and _install(libc, machine, instructions)


@cache
def command_filter(machine: str, *, network: bool) -> bytes:
    """Return the filter of a command as the kernel reads it, b"" for an unknown architecture.

    It is made before the supervisor forks, once for all jobs.
    """
    if machine not in _ARCHITECTURES:
        return b""
    return _packed(command_program(machine, network=network))


def _packed(instructions: list[_Instruction]) -> bytes:
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)


def _install(libc: ctypes.CDLL, machine: str, instructions: bytes) -> bool:
    if sys.maxsize < 2**32:
        return False
    code = ctypes.create_string_buffer(instructions)
    packed = struct.pack("HxxxxxxQ", len(instructions) // 8, ctypes.addressof(code))
    _, seccomp = _ARCHITECTURES[machine]
    return not libc.syscall(seccomp, _SET_MODE_FILTER, _SYNCHRONIZE_THREADS, packed)


def program(machine: str, pid: int) -> list[_Instruction]:
    """Return the filter of a transform as a BPF program.

    Args:
        machine: The architecture, as uname(2) names it.
        pid: The process, which may signal itself: abort(3) does.

    Returns:
        Instructions of classic BPF: code, jumps if true and if false, constant.
    """
    return [
        *_beginning(machine),
        *_return_if(_EQUAL, _numbers(machine, FORBIDDEN), _ERRNO | _EPERM),
        *_return_if(_EQUAL, _numbers(machine, IGNORED), _ERRNO),
        *_allow_only(_numbers(machine, _THREADS), 0, _BITS, _CLONE_THREAD),
        *_allow_only(_numbers(machine, _OF_ITSELF), 0, _EQUAL, 0),
        *_allow_only(_numbers(machine, _ABORT), 0, _EQUAL, pid),
        *_forbid_only(_numbers(machine, _PRCTL), 0, _EQUAL, _PR_SET_PDEATHSIG),
        *_forbid_only(_numbers(machine, _FCNTL), 1, _EQUAL, _F_SETOWN),
        *_forbid_only(_numbers(machine, _FCNTL), 1, _EQUAL, _F_SETOWN_EX),
        (_RETURN, 0, 0, _ALLOW),
    ]


def command_program(machine: str, *, network: bool) -> list[_Instruction]:
    """Return the filter of a command as a BPF program; see `program`."""
    allowed = _FOR_PROGRAMS | ({"socket", "connect"} if network else set())
    forbidden = {name: FORBIDDEN[name] for name in FORBIDDEN if name not in allowed}
    sockets = _allow_values(_numbers(machine, _SOCKETS), 0, _INTERNET) if network else []
    return [
        *_beginning(machine),
        *_return_if(_EQUAL, _numbers(machine, forbidden), _ERRNO | _EPERM),
        *_forbid_only(_numbers(machine, _THREADS), 0, _BITS, _NAMESPACES),
        *_allow_only(_numbers(machine, _OF_ITSELF), 0, _EQUAL, 0),
        *_forbid_only(_numbers(machine, _PAIRS), 1, _BITS, _UNCONNECTED),
        *sockets,
        *_forbid_only(_numbers(machine, _FCNTL), 1, _EQUAL, _F_SETOWN),
        *_forbid_only(_numbers(machine, _FCNTL), 1, _EQUAL, _F_SETOWN_EX),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _beginning(machine: str) -> list[_Instruction]:
    """Load the number of the call; refuse other architectures and unknown calls."""
    architecture, _ = _ARCHITECTURES[machine]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *_return_if(_AT_LEAST, [_NEWEST + 1], _ERRNO | _ENOSYS),
        *_return_if(_EQUAL, [_CLONE3], _ERRNO | _ENOSYS),
    ]


def _numbers(machine: str, calls: _Calls) -> list[int]:
    column = list(_ARCHITECTURES).index(machine)
    return [number for each in calls.values() if (number := each[column]) is not None]


def _return_if(test: int, values: list[int], action: int) -> list[_Instruction]:
    """Return the action if the call's number passes the test with one of the values."""
    last = len(values) - 1
    tests = [(test, last - i, int(i == last), value) for i, value in enumerate(values)]
    return [*tests, (_RETURN, 0, 0, action)]


def _allow_only(calls: list[int], argument: int, test: int, value: int) -> list[_Instruction]:
    """Forbid calls unless an argument passes the test with a value."""
    return _forbid_unless(calls, argument, [(test, 1, 0, value)])


def _allow_values(calls: list[int], argument: int, values: Sequence[int]) -> list[_Instruction]:
    """Forbid calls unless an argument has one of the values."""
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return _forbid_unless(calls, argument, tests)


def _forbid_only(calls: list[int], argument: int, test: int, value: int) -> list[_Instruction]:
    """Forbid calls in which an argument passes the test with a value."""
    return _forbid_unless(calls, argument, [(test, 0, 1, value)])


def _forbid_unless(
    calls: list[int], argument: int, tests: list[_Instruction]
) -> list[_Instruction]:
    """Forbid calls unless a test of an argument jumps over the refusal."""
    # Of these arguments the kernel reads the lower 32 bits only.
    last, end = len(calls) - 1, len(tests) + 3
    listed = [(_EQUAL, last - i, end * int(i == last), call) for i, call in enumerate(calls)]
    return [
        *listed,
        (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
        *tests,
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_LOAD, 0, 0, _NUMBER),
    ]
