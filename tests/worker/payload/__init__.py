"""A transform that tries what a hostile file might make its process do, without doing harm.

Signals have the number 0, limits are read, descriptors and pointers are invalid. It records each
attempt with "done" or the name of the error.
"""

import ctypes
import errno
import fcntl
import os
import struct
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from worker.transforms import Produced

_LIBC = ctypes.CDLL(None, use_errno=True)
# asm/unistd_64.h and asm-generic/unistd.h: what the C library has no function for.
_NUMBERS = {
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ioprio_set": (251, 30),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "clone3": (435, 435),
    "sched_setattr": (314, 274),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "mq_open": (240, 180),
    "memfd_secret": (447, 447),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}
_COLUMN = ["x86_64", "aarch64"].index(os.uname().machine)


def _call(name: str, *arguments: int | bytes | None) -> None:
    """Make a system call: None is a null pointer."""
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    if name in _NUMBERS:
        result = _LIBC.syscall(_NUMBERS[name][_COLUMN], *given)
    else:
        result = getattr(_LIBC, name)(*given)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def calls(parent: int) -> dict[str, Callable[[], object]]:
    """Return the attempts that a filter of system calls must refuse, by the call's name."""
    info = struct.pack("iii", 0, 0, -1).ljust(128, b"\0")
    arguments: dict[str, tuple[int | bytes | None, ...]] = {
        "kill": (parent, 0),
        "tkill": (parent, 0),
        "tgkill": (parent, parent, 0),
        "rt_sigqueueinfo": (parent, 0, info),
        "rt_tgsigqueueinfo": (parent, parent, 0, info),
        "pidfd_open": (parent, 0),
        "pidfd_send_signal": (-1, 0, None, 0),
        "pidfd_getfd": (-1, 0, 0),
        "ptrace": (3, -1, None, None),
        "process_vm_readv": (parent, None, 0, None, 0, 0),
        "process_vm_writev": (parent, None, 0, None, 0, 0),
        "process_madvise": (-1, None, 0, 20, 0),
        "process_mrelease": (-1, 0),
        "kcmp": (parent, parent, 99, 0, 0),
        "perf_event_open": (None, 0, -1, -1, 0),
        "move_pages": (parent, 0, None, None, None, -1),
        "migrate_pages": (parent, 0, None, None),
        "prlimit64": (parent, 7, None, bytes(16)),
        "sched_setaffinity": (parent, 0, None),
        "sched_setscheduler": (parent, -2, bytes(4)),
        "sched_setparam": (parent, None),
        "sched_setattr": (parent, None, 0),
        "setpriority": (0, parent, os.getpriority(os.PRIO_PROCESS, parent)),
        "ioprio_set": (1, parent, 7 << 13),
        "setpgid": (-1, 0),
        "prctl": (1, 9, 0, 0, 0),
        "add_key": (None, None, None, 0, 0),
        "request_key": (None, None, None, 0),
        "keyctl": (9999, 0, 0, 0, 0),
        "io_uring_setup": (0, None),
        "bpf": (0, None, 1 << 20),
        "userfaultfd": (1 << 20 | 1,),
        "unshare": (1,),
        "setns": (-1, 0),
        "mount": (None, None, None, 0, None),
        "open_by_handle_at": (-1, None, 0),
        "name_to_handle_at": (-1, None, None, None, 0),
        "inotify_init": (),
        "inotify_init1": (-1,),
        "fanotify_init": (-1, 0),
        "truncate": (b"\0", 0),
        "chown": (b"\0", -1, -1),
        "lchown": (b"\0", -1, -1),
        "fchown": (-1, -1, -1),
        "fchownat": (-1, b"\0", -1, -1, 0),
        "setxattr": (b"\0", b"user.a", b"", 0, 0),
        "lsetxattr": (b"\0", b"user.a", b"", 0, 0),
        "fsetxattr": (-1, b"user.a", b"", 0, 0),
        "setxattrat": (-1, b"\0", 0, b"user.a", None, 0),
        "removexattr": (b"\0", b"user.a"),
        "lremovexattr": (b"\0", b"user.a"),
        "fremovexattr": (-1, b"user.a"),
        "removexattrat": (-1, b"\0", 0, b"user.a"),
        "file_setattr": (-1, b"\0", None, 0, 0),
        "memfd_create": (None, 0),
        "memfd_secret": (-1,),
        "shmget": (0, 0, 0),
        "semget": (0, -1, 0),
        "msgget": (1 << 30, 0),
        "mq_open": (b"\0", 0),
        "socket": (-1, 0, 0),
        "socketpair": (-1, 0, 0, None),
        "connect": (-1, None, 0),
        "sendto": (-1, None, 0, 0, None, 0),
        "execve": (b"\0", None, None),
        "execveat": (-1, b"\0", None, None, 0),
    }
    tries: dict[str, Callable[[], object]] = {
        name: partial(_call, name, *each) for name, each in arguments.items()
    }
    return tries | {
        "setsid": os.setsid,
        "fork": _fork,
        "posix_spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
        "fcntl": _own_signals(parent),
    }


def _fork() -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _own_signals(target: int) -> Callable[[], object]:
    """Return an attempt to send a process a signal by way of a pipe (fcntl(2), F_SETOWN)."""
    reader, writer = os.pipe()

    def attempt() -> None:
        fcntl.fcntl(reader, fcntl.F_SETOWN, target)
        fcntl.fcntl(reader, fcntl.F_SETOWN, 0)
        os.close(writer)

    return attempt


def files(others: Path, parent: int) -> dict[str, Callable[[], object]]:
    """Return the attempts that Landlock must refuse; `others` has files of other jobs."""
    secret = others / "secret"
    return {
        **{f"list {path}": partial(os.listdir, path) for path in _folders(others)},
        "watch": lambda: os.open(others, os.O_RDONLY | os.O_DIRECTORY),
        "read": secret.read_bytes,
        "write": lambda: secret.open("r+b"),
        "cut": lambda: os.open(secret, os.O_RDONLY | os.O_TRUNC),
        "memory": lambda: Path(f"/proc/{parent}/mem").open("rb"),
        "environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "link": lambda: os.link(secret, "link"),
        "device": lambda: Path("/dev/full").open("wb"),
    }


def _folders(others: Path) -> list[Path]:
    named = ["/", "/usr", "/usr/bin", "/etc", "/proc", "/dev", "/tmp", "/var"]  # noqa: S108
    return [others, *map(Path, named)]


def needed(source: Path) -> dict[str, Callable[[], object]]:
    """Return what must go on working."""

    def thread() -> None:
        ended = threading.Event()
        threading.Thread(target=ended.set).start()
        if not ended.wait(60):
            raise OSError(errno.ETIMEDOUT, "thread")

    def copy() -> None:
        import shutil  # noqa: PLC0415

        shutil.copy2(source, "copied")
        if Path("copied").read_bytes() != source.read_bytes():
            raise OSError(errno.EIO, "copy")

    def import_late() -> None:
        import colorsys  # noqa: F401, PLC0415

    def limit() -> None:
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CPU, resource.getrlimit(resource.RLIMIT_CPU))

    return {
        "thread": thread,
        "copy": copy,
        "import": import_late,
        "limit": limit,
        "list own": lambda: list(Path().iterdir()),
        "affinity": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "rename": lambda: Path("copied").rename("renamed"),
    }


def changes(others: Path) -> dict[str, Callable[[], object]]:
    """Return the attempts to change another file's mode and times: ECANCELED if nothing changed."""
    secret = others / "secret"

    def mode() -> None:
        secret.chmod(0o640)
        check(secret.stat().st_mode & 0o777 == 0o640)

    def times() -> None:
        os.utime(secret, (1, 1))
        check(secret.stat().st_mtime == 1)

    def check(changed: bool) -> None:
        if not changed:
            raise OSError(errno.ECANCELED, "unchanged")

    return {"mode": mode, "times": times}


def outcomes(attempts: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """Make attempts and return how each ended."""
    found = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            found[name] = "done"
        except OSError as error:
            found[name] = errno.errorcode.get(error.errno or 0, str(error))
    return found


def attempt_all(source: Path, others: Path) -> dict[str, dict[str, str]]:
    """Make all attempts; libc must take another call for clone3."""
    parent = os.getppid()
    return {
        "needed": outcomes(needed(source)),
        "calls": outcomes(calls(parent)),
        "files": outcomes(files(others, parent)),
        "changes": outcomes(changes(others)),
        "replaced": outcomes({"clone3": partial(_call, "clone3", None, 0)}),
    }


def apply(inputs: list[object], outputs: Path, parameters: object) -> Produced:
    """Make all attempts; the input is the path of the others' folder."""
    del outputs, parameters
    source: Path = inputs[0].path  # type: ignore[attr-defined]
    return Produced(records=[attempt_all(source, Path(source.read_text()))])
