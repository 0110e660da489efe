"""The guest's network: a separate namespace, which slirp4netns connects to the host.

The guest is 10.0.2.100, the host's loopback 10.0.2.2, DNS 10.0.2.3 (slirp4netns(1)). User-data
names servers on 127.0.0.1, as it does for a `process` machine; a forwarder listens on their ports
in the guest's namespace. A second device has the guest's address in the cloud's internal network.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local import private_file
from local.machine.machine import SSH, SSH_PORT_FILE, is_open_outside
from local.machine.vendor_data import HOST
from local.ports import free_port

ADDRESS = "10.0.2.100"
DEVICE, LINK_DEVICE = "tap0", "link0"
_LOOPBACK = "127.0.0.1"
_SECONDS = 20


@dataclass(frozen=True)
class Network:
    """A running network.

    Attributes:
        namespace: the path of the guest's network namespace.
        processes: the ids of the processes that the network ends with.
    """

    namespace: str
    processes: tuple[int, ...]


def start(folder: Path, forwarded: Sequence[int]) -> Network:
    """Make the namespace and join it to the host; raises OSError where a process does not start.

    Args:
        folder: the machine's folder; must be the current one, as sockets have short names.
        forwarded: the loopback ports that are forwarded to the host's.

    Returns:
        The running network.
    """
    ready, ready_write = os.pipe()
    options = ["-m", "local.machine.nspawn.forwarder", HOST, str(ready_write)]
    forwarder = subprocess.Popen(
        [sys.executable, *options, *map(str, forwarded)],
        stdin=subprocess.DEVNULL,
        pass_fds=[ready_write],
    )
    os.close(ready_write)
    _await(ready, "forwarder")
    ready, ready_write = os.pipe()
    slirp = subprocess.Popen(
        [
            *("slirp4netns", "--mtu=1500", f"--ready-fd={ready_write}"),
            *("--api-socket=slirp.socket", str(forwarder.pid), DEVICE),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[ready_write],
    )
    os.close(ready_write)
    _await(ready, "slirp4netns")
    if is_open_outside(folder):
        private_file.write(folder / SSH_PORT_FILE, str(_forward_ssh()))
    return Network(f"/proc/{forwarder.pid}/ns/net", (forwarder.pid, slirp.pid))


def _await(ready: int, what: str) -> None:
    with os.fdopen(ready) as pipe:
        if not pipe.read(1):
            raise OSError(f"{what} did not start")


def _forward_ssh() -> int:
    """Forward a free port of the host's loopback to the guest's sshd; returns the port."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        port = free_port()
        if "error" not in _call_slirp(
            "add_hostfwd",
            proto="tcp",
            host_addr=_LOOPBACK,
            host_port=port,
            guest_addr=ADDRESS,
            guest_port=SSH,
        ):
            return port
    raise OSError("no free port for ssh")


def _call_slirp(command: str, **arguments: str | int) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as api:
        api.connect("slirp.socket")
        api.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        api.shutdown(socket.SHUT_WR)
        answer: dict[str, object] = json.loads(api.makefile().read())
        return answer
