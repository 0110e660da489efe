"""The faults of the matrix: how each is caused, and at which steps it can occur."""

import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from bench.proxy import Break, Fault, Proxy, Response, Rewrite
from tests.faults.steps import CONNECT, DATABASE, REQUESTS, STATEMENTS, STEPS, STORE

ALWAYS = 10**6


@dataclass
class Target:
    """What a fault affects: the worker, and the proxy before its peer."""

    worker: "subprocess.Popen[str]"
    proxy: Proxy

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.worker.pid)


@dataclass(frozen=True)
class Injection:
    """A fault, and where it can occur.

    Attributes:
        inject: Causes the fault; it may return what happens to the request or response.
        peers: The servers whose requests it can hit.
        steps: The steps, None for all.
        phases: Before the request, or after it was carried out and before its response.
        skip: How many requests of the step pass before it hits one.
        times: How many it hits in one pass.
        statuses: Exit statuses that the worker may have.
        in_reader: Whether it also occurs at the steps that the pipelines share, in the passes of
            those that read: requests to the store are the same there.
        in_fleet: Whether it also occurs on one machine of several.
        is_slow: Whether the worker waits for tens of seconds.
        may_trace: Whether it may end with a traceback.
    """

    inject: Callable[[Target, bytes], Fault | None]
    peers: tuple[str, ...] = (STORE,)
    steps: tuple[str, ...] | None = None
    phases: tuple[str, ...] = ("before",)
    times: int = ALWAYS
    skip: int = 0
    statuses: tuple[int, ...] = (0, 1)
    in_reader: bool = False
    in_fleet: bool = False
    is_slow: bool = False
    may_trace: bool = False

    def places(self, steps: Mapping[str, Sequence[str]] = STEPS) -> list[tuple[str, str, str]]:
        """Return peer, step and phase of all its places, of the steps of passes by peer."""
        return [
            (peer, step, phase)
            for peer in self.peers
            for step in steps[peer]
            if self.steps is None or step in self.steps
            for phase in self.phases
        ]


def _send_signal(number: int) -> Callable[[Target, bytes], None]:
    def inject(target: Target, _: bytes) -> None:
        target.worker.send_signal(number)
        if number == signal.SIGKILL:
            target.worker.wait()

    return inject


def _kill_transforms(target: Target, _: bytes) -> None:
    """Kill the worker's children, as the kernel does when memory is short."""
    with suppress(psutil.NoSuchProcess):
        for child in target.process.children():
            child.kill()


def _limit_memory(target: Target, _: bytes) -> None:
    """Let no allocation succeed that needs further address space."""
    with suppress(psutil.NoSuchProcess):
        size = target.process.memory_info().vms
        target.process.rlimit(psutil.RLIMIT_AS, (size, size))


def _limit_files(target: Target, _: bytes) -> None:
    """Let no file or socket be opened."""
    with suppress(psutil.NoSuchProcess):
        target.process.rlimit(psutil.RLIMIT_NOFILE, (3, 3))


def _limit_disk(target: Target, _: bytes) -> None:
    """Let no file grow beyond 16 bytes: writing fails as it does on a full disk."""
    with suppress(psutil.NoSuchProcess):
        target.process.rlimit(psutil.RLIMIT_FSIZE, (16, 16))


def _refuse(target: Target, _: bytes) -> Fault:
    target.proxy.refuse()
    return Break("reset")


def _cut(target: Target, _: bytes) -> None:
    """Cut the link for good: what was sent last is not acknowledged."""
    target.proxy.cut()


def _spoil(fault: Fault) -> Callable[[Target, bytes], Fault]:
    return lambda *_: fault


def _status(status: int, code: str, headers: str = "") -> Callable[[Target, bytes], Fault]:
    """Answer with an error as S3 does (API reference, "Error responses"); HEAD has no body."""

    def inject(_: Target, request: bytes) -> Fault:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        body = "" if request.startswith(b"HEAD") else body
        head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\n{headers}"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return Response((head + body).encode())

    return inject


def _change(pattern: bytes, by: bytes) -> Callable[[Target, bytes], Fault]:
    return _spoil(Rewrite(lambda data: re.sub(pattern, by, data, flags=re.IGNORECASE)))


def _database_error(code: str, text: str) -> Callable[[Target, bytes], Fault]:
    """Answer with an error of PostgreSQL's protocol; the session goes on (manual, chapter 54)."""
    fields = f"SERROR\0VERROR\0C{code}\0M{text}\0\0".encode()
    error = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    return _spoil(Response(error + b"Z\0\0\0\5I", closes=False))


_BOTH = (STORE, DATABASE)
_WITH_REQUEST_BODY = ("put result", "quarantine", "put note", "put run's file")
_WITH_RESPONSE_BODY = ("list", "fetch", "ask for versions", "fetch member")
_WITH_ETAG = (
    *("fetch", "put result", "look at result", "look at upload", "quarantine"),
    *("put run's file", "fetch member"),
)
_REPEATED = ("fetch", "put result", "copy to reader", "start_jobs", "record_results", "delete")
_CUT = (
    *("list", "fetch", "put result", "start_jobs", "record_results"),
    *("lead", "assign_keys", "fetch task", "finish task"),
)
_BOTH_PHASES = ("before", "after")
_GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nLast-Modified: never\r\n\r\n<<<\0>>>"
_WRONG = rb'\1"00000000000000000000000000000bad"'

INJECTIONS = {
    # The process.
    "SIGKILL": Injection(
        _send_signal(signal.SIGKILL),
        _BOTH,
        phases=_BOTH_PHASES,
        times=1,
        statuses=(-signal.SIGKILL,),
        in_reader=True,
        in_fleet=True,
    ),
    "SIGKILL at the second": Injection(
        _send_signal(signal.SIGKILL),
        _BOTH,
        _REPEATED,
        phases=_BOTH_PHASES,
        skip=1,
        times=1,
        statuses=(-signal.SIGKILL,),
        in_reader=True,
    ),
    "SIGTERM": Injection(
        _send_signal(signal.SIGTERM),
        _BOTH,
        phases=_BOTH_PHASES,
        times=1,
        # The signal ends a worker that has not begun its pass: it still connects.
        statuses=(0, 1, -signal.SIGTERM),
        in_reader=True,
        in_fleet=True,
    ),
    "SIGKILL of transforms": Injection(
        _kill_transforms, _BOTH, ("fetch", "put result", "start_jobs", "record_results"), times=1
    ),
    "no memory": Injection(_limit_memory, _BOTH, times=1, statuses=(0, 1, -6, -11), may_trace=True),
    "no descriptors": Injection(_limit_files, _BOTH, times=1, may_trace=True),
    "disk full": Injection(
        _limit_disk, (STORE,), ("list", "fetch", "put result", "quarantine"), times=1
    ),
    # The network before the store and the database.
    "refused": Injection(_refuse, _BOTH, times=1, in_fleet=True),
    "reset": Injection(_spoil(Break("reset")), _BOTH, phases=_BOTH_PHASES, in_fleet=True),
    "reset once": Injection(
        _spoil(Break("reset")), _BOTH, phases=_BOTH_PHASES, times=1, in_reader=True, in_fleet=True
    ),
    "cut": Injection(_cut, _BOTH, _CUT, phases=_BOTH_PHASES, times=1, in_fleet=True, is_slow=True),
    "reset in the request": Injection(_spoil(Break("reset", 8)), (STORE,), _WITH_REQUEST_BODY),
    "reset in the response": Injection(
        _spoil(Break("reset", 8)), (STORE,), _WITH_RESPONSE_BODY, ("after",)
    ),
    "truncated": Injection(_spoil(Break("close", 8)), (STORE,), _WITH_RESPONSE_BODY, ("after",)),
    "stalled": Injection(_spoil(Break("stall")), (STORE,), is_slow=True),
    "stalled in the response": Injection(
        _spoil(Break("stall", 8)), (STORE,), _WITH_RESPONSE_BODY, ("after",), is_slow=True
    ),
    # The store.
    "403": Injection(_status(403, "AccessDenied")),
    "404": Injection(_status(404, "NoSuchKey")),
    "404 bucket": Injection(_status(404, "NoSuchBucket")),
    "409": Injection(_status(409, "OperationAborted")),
    "412": Injection(_status(412, "PreconditionFailed")),
    "429": Injection(_status(429, "TooManyRequests", "Retry-After: 1\r\n")),
    "500": Injection(_status(500, "InternalError")),
    "503": Injection(_status(503, "SlowDown")),
    "503 once": Injection(_status(503, "SlowDown"), times=1),
    "done, but 500": Injection(_status(500, "InternalError"), phases=("after",)),
    "garbage": Injection(_spoil(Response(_GARBAGE)), phases=("after",)),
    "wrong ETag": Injection(
        _change(rb"(\betag: )\"[^\"]*\"", _WRONG),
        (STORE,),
        _WITH_ETAG,
        ("after",),
    ),
    # The database.
    "read-only": Injection(
        _database_error("25006", "cannot execute INSERT in a read-only transaction"),
        (DATABASE,),
        STATEMENTS,
    ),
    "database full": Injection(
        _database_error("53100", "could not extend file: No space left on device"),
        (DATABASE,),
        STATEMENTS,
    ),
    "lock timeout": Injection(
        _database_error("55P03", "canceling statement due to lock timeout"), (DATABASE,), STATEMENTS
    ),
    "too many connections": Injection(
        _database_error("53300", "sorry, too many clients already"), (DATABASE,), (CONNECT,)
    ),
}
assert set(_WITH_REQUEST_BODY + _WITH_RESPONSE_BODY) <= set(REQUESTS)
