"""What a harmless transform tries to reach, as a function and as a program."""

import ctypes
import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_USER_NAMESPACE = 0x10000000


def attempt(source: Path, outputs: Path) -> list[dict[str, str]]:
    """Try to reach what the input names; return how each attempt ended."""
    targets = json.loads(source.read_text())
    (outputs / "result.txt").write_text("result")
    return [{name: _outcome(action) for name, action in _attempts(targets).items()}]


def _attempts(targets: Mapping[str, Any]) -> dict[str, Callable[[], object]]:
    worker: int = targets["worker"]
    secret = Path(targets["secret"])
    return {
        "read credentials": secret.read_bytes,
        "change credentials": lambda: secret.open("r+b"),
        "list other jobs": lambda: os.listdir(targets["others"]),  # noqa: PTH208
        "read another job's file": lambda: Path(targets["others"], "input").read_bytes(),
        "link another job's file": lambda: os.link(f"{targets['others']}/input", "linked"),
        "write beside other jobs": lambda: Path(targets["others"], "new").write_text(""),
        "read the worker's environment": lambda: Path(f"/proc/{worker}/environ").read_bytes(),
        "read the worker's memory": lambda: Path(f"/proc/{worker}/mem").open("rb"),
        "signal the worker": lambda: os.kill(worker, 0),
        "trace": lambda: _call(_LIBC.ptrace(0, 0, 0, 0)),
        "make a namespace": lambda: _call(_LIBC.unshare(_NEW_USER_NAMESPACE)),
        "connect by TCP": lambda: socket.create_connection(("127.0.0.1", targets["port"]), 5),
        "send by UDP": lambda: _datagram(targets["port"]),
        "connect to a service": lambda: _unix(targets["service"]),
        "connect to an abstract name": lambda: _unix(f"\0{targets['abstract']}"),
        "make unconnected sockets": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    }


def _datagram(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", ("127.0.0.1", port))


def _unix(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)


def _call(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _outcome(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


if __name__ == "__main__":
    (record,) = attempt(Path(sys.argv[1]), Path(sys.argv[2]))
    Path(sys.argv[2], "records.jsonl").write_text(json.dumps(record))
