"""A `container` machine's network: its own namespace, joined to the host by slirp4netns.

The guest is 10.0.2.100, the host's loopback 10.0.2.2, DNS 10.0.2.3 (slirp4netns(1)). user-data
names endpoints on 127.0.0.1, as it does for a `process` machine; in the guest's namespace a
forwarder listens on those ports and leads them to the host's.
"""

import json
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from local import files
from local.machine import user_data
from local.machine.booted import SSH_PORT

ADDRESS, HOST, DNS = "10.0.2.100", "10.0.2.2", "10.0.2.3"
DEVICE = "tap0"
_LOOPBACK = "127.0.0.1"
_SSH = 22
_SECONDS = 20


@dataclass(frozen=True)
class Network:
    """A namespace's path, and the processes that it lives by."""

    namespace: str
    processes: tuple[int, ...]


def ports(packed: str) -> list[int]:
    """The ports of this machine that the worker's settings name, [] where there are none."""
    try:
        entries = user_data.files(packed)
    except user_data.UserDataError:
        return []  # cloud-init is to say so
    text = next((str(e["content"]) for e in entries if e["path"] == user_data.SETTINGS), "")
    settings = tomllib.loads(text)
    store = urlsplit(str(settings.get("store", {}).get("endpoint", "")))
    database = settings.get("database", {})
    named = [(store.hostname, store.port), (database.get("host"), database.get("port"))]
    return sorted({int(port) for host, port in named if host == _LOOPBACK and port})


def start(folder: Path, forwarded: Sequence[int]) -> Network:
    """Make the namespace and join it to the host; the current folder must be `folder`."""
    ready, told = os.pipe()
    words = ["-m", "local.machine.container_forwarder", HOST, str(told), *map(str, forwarded)]
    forwarder = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.DEVNULL, pass_fds=[told]
    )
    os.close(told)
    _await(ready, "forwarder")
    ready, told = os.pipe()
    slirp = subprocess.Popen(
        [
            *("slirp4netns", "--mtu=1500", f"--ready-fd={told}", "--api-socket=slirp.socket"),
            *(str(forwarder.pid), DEVICE),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[told],
    )
    os.close(told)
    _await(ready, "slirp4netns")
    files.write(folder / SSH_PORT, str(_forward_ssh()))
    return Network(f"/proc/{forwarder.pid}/ns/net", (forwarder.pid, slirp.pid))


def _await(ready: int, what: str) -> None:
    with os.fdopen(ready) as pipe:
        if not pipe.read(1):
            raise OSError(f"{what} did not start")


def _forward_ssh() -> int:
    """A port of the host's loopback that leads to the guest's sshd."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as free:
            free.bind((_LOOPBACK, 0))
            port = int(free.getsockname()[1])
        if "error" not in _ask(
            "add_hostfwd",
            proto="tcp",
            host_addr=_LOOPBACK,
            host_port=port,
            guest_addr=ADDRESS,
            guest_port=_SSH,
        ):
            return port
    raise OSError("no free port for ssh")


def _ask(what: str, **arguments: str | int) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as api:
        api.connect("slirp.socket")
        api.sendall(json.dumps({"execute": what, "arguments": arguments}).encode())
        api.shutdown(socket.SHUT_WR)
        answer: dict[str, object] = json.loads(api.makefile().read())
        return answer
