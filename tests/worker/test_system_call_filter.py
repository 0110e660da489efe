"""The filter of system calls, interpreted for both architectures with the kernel's own numbers."""

import re
from pathlib import Path

import pytest

from worker.sandbox import seccomp

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PID = 4711
ALLOW, KILL, EPERM, ENOSYS, IGNORE = 0x7FFF0000, 0x80000000, 0x50001, 0x50026, 0x50000
THREAD = 0x3D0F00  # what libc starts threads with (clone(2))

pytestmark = pytest.mark.skipif(
    not all(path.exists() for path in HEADERS.values()), reason="needs the kernel's headers"
)


@pytest.fixture(params=HEADERS)
def machine(request: pytest.FixtureRequest) -> str:
    """Return an architecture."""
    return str(request.param)


@pytest.fixture
def numbers(machine: str) -> dict[str, int]:
    """Return the numbers of system calls."""
    defined = r"#define __NR(?:3264)?_(\w+)\s+(\d+)"
    return {name: int(text) for name, text in re.findall(defined, HEADERS[machine].read_text())}


def decide(machine: str, number: int, *arguments: int, architecture: int = 0) -> int:
    """Return what the filter of a transform decides."""
    return interpret(
        seccomp.program(machine, PID),
        number,
        *arguments,
        architecture=architecture or AUDIT[machine],
    )


def interpret(
    program: list[tuple[int, int, int, int]], number: int, *arguments: int, architecture: int
) -> int:
    """Interpret a filter as the kernel does (linux/filter.h, bpf_common.h)."""
    given = dict.fromkeys(range(16, 64, 4), 0)
    given |= {16 + 8 * i: value for i, value in enumerate(arguments)}
    data = {0: number, 4: architecture} | given
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x06:  # BPF_RET
            return value
        if code == 0x20:  # BPF_LD
            loaded = data[value]
            continue
        is_true = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
        at += if_true if is_true else if_false


def test_listed_calls_are_refused(machine: str, numbers: dict[str, int]) -> None:
    for calls, expected in ((seccomp.FORBIDDEN, EPERM), (seccomp.IGNORED, IGNORE)):
        known = calls.keys() & numbers.keys()  # headers may be older than the list
        assert known
        assert {name: decide(machine, numbers[name]) for name in known} == dict.fromkeys(
            known, expected
        )


def test_nothing_else_is_refused(machine: str, numbers: dict[str, int]) -> None:
    by_argument = {"clone", "clone3", "prlimit64", "tgkill", "prctl", "fcntl"}
    by_argument |= {name for name in numbers if name.startswith("sched_set")}
    listed = seccomp.FORBIDDEN.keys() | seccomp.IGNORED.keys() | by_argument
    others = {name for name in numbers.keys() - listed if numbers[name] < 450}
    assert len(others) > 200
    assert {name for name in others if decide(machine, numbers[name]) != ALLOW} == set()


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (THREAD,), ALLOW),
        ("clone", (17,), EPERM),  # fork: SIGCHLD
        ("clone", (0x4111,), EPERM),  # vfork
        ("clone3", (), ENOSYS),
        ("tgkill", (PID, PID, 6), ALLOW),
        ("tgkill", (1, 1, 6), EPERM),
        ("prlimit64", (0,), ALLOW),
        ("prlimit64", (1,), EPERM),
        ("sched_setaffinity", (0,), ALLOW),
        ("sched_setaffinity", (1,), EPERM),
        ("sched_setscheduler", (1,), EPERM),
        ("sched_setparam", (1,), EPERM),
        ("sched_setattr", (1,), EPERM),
        ("prctl", (15,), ALLOW),  # PR_SET_NAME
        ("prctl", (1,), EPERM),  # PR_SET_PDEATHSIG
        ("fcntl", (3, 1), ALLOW),  # F_GETFD
        ("fcntl", (3, 8), EPERM),  # F_SETOWN
        ("fcntl", (3, 15), EPERM),  # F_SETOWN_EX
    ],
)
def test_calls_that_depend_on_an_argument(
    machine: str, numbers: dict[str, int], name: str, arguments: tuple[int, ...], expected: int
) -> None:
    assert decide(machine, numbers[name], *arguments) == expected


def test_unknown_calls_do_not_exist(machine: str) -> None:
    x32_read = 0x40000000
    assert [decide(machine, number) for number in (470, x32_read, 2**32 - 1)] == [ENOSYS] * 3


def test_calls_of_another_architecture_kill(machine: str) -> None:
    assert decide(machine, 0, architecture=0x40000003) == KILL  # i386


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (17,), (ALLOW, ALLOW)),
        ("clone", (THREAD,), (ALLOW, ALLOW)),
        ("clone", (0x10000011,), (EPERM, EPERM)),  # CLONE_NEWUSER
        ("clone", (0x20011,), (EPERM, EPERM)),  # CLONE_NEWNS
        ("clone3", (), (ENOSYS, ENOSYS)),
        ("execve", (), (ALLOW, ALLOW)),
        ("kill", (), (ALLOW, ALLOW)),
        ("fchmodat", (), (ALLOW, ALLOW)),
        ("ptrace", (), (EPERM, EPERM)),
        ("process_vm_readv", (), (EPERM, EPERM)),
        ("unshare", (), (EPERM, EPERM)),
        ("setns", (), (EPERM, EPERM)),
        ("shmget", (), (EPERM, EPERM)),
        ("io_uring_setup", (), (EPERM, EPERM)),
        ("prlimit64", (1,), (EPERM, EPERM)),
        ("socketpair", (1, 1), (ALLOW, ALLOW)),  # SOCK_STREAM
        ("socketpair", (1, 0x80005), (ALLOW, ALLOW)),  # SOCK_SEQPACKET | SOCK_CLOEXEC
        ("socketpair", (1, 2), (EPERM, EPERM)),  # SOCK_DGRAM
        ("connect", (), (EPERM, ALLOW)),
        ("socket", (1, 1), (EPERM, EPERM)),  # AF_UNIX
        ("socket", (2, 1), (EPERM, ALLOW)),  # AF_INET
        ("socket", (10, 2), (EPERM, ALLOW)),  # AF_INET6
        ("socket", (16, 3), (EPERM, ALLOW)),  # AF_NETLINK
        ("socket", (17, 3), (EPERM, EPERM)),  # AF_PACKET
        ("fcntl", (3, 8), (EPERM, EPERM)),  # F_SETOWN
        ("fcntl", (3, 1), (ALLOW, ALLOW)),
    ],
)
def test_calls_of_commands(
    machine: str,
    numbers: dict[str, int],
    name: str,
    arguments: tuple[int, ...],
    expected: tuple[int, int],
) -> None:
    for network in (False, True):
        program = seccomp.command_program(machine, network=network)
        found = interpret(program, numbers[name], *arguments, architecture=AUDIT[machine])
        assert found == expected[network]
    assert interpret(program, 0, architecture=0x40000003) == KILL  # i386
    assert interpret(program, 470, architecture=AUDIT[machine]) == ENOSYS
