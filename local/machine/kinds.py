"""Which kind of machine a cloud's VMs are, and the doings that depend on it."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from local import files, processes
from local.machine import container_cgroups, machine
from local.machine.booted import SSH_PORT
from local.machine.container import Container
from local.machine.machine import Machine
from local.machine.qemu import Qemu

PROCESS, CONTAINER, QEMU = "process", "container", "qemu"
_SERVICES = {CONTAINER: "local.machine.container_service", QEMU: "local.machine.qemu_service"}
_BOOTED: dict[str, type[Machine]] = {CONTAINER: Container, QEMU: Qemu}
_PORT_SECONDS = 60


@dataclass(frozen=True)
class Kind:
    """`tree`: the root file system that a container boots from, the folder of the image that QEMU
    does, "" for a process."""

    name: str = PROCESS
    tree: str = ""


def keep(cloud: Path, kind: Kind) -> None:
    """Write down what the cloud in this folder makes of its VMs."""
    files.write(cloud / "kind.json", json.dumps(asdict(kind)))


def kept(cloud: Path) -> Kind:
    """What was written down; processes where nothing was."""
    path = cloud / "kind.json"
    return Kind(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Kind()


def start(folder: Path, kind: Kind, name: str, user_data: str, public_key: str) -> None:
    """Boot a machine with packed user-data, or boot it again; does not wait for it.

    `public_key` is what Nova's metadata would give for the VM's key pair, "" for none.
    """
    if kind.name == PROCESS:
        machine.start(folder, name, user_data)
        return
    record = {
        "name": name,
        "kind": kind.name,
        "tree": kind.tree,
        "id": folder.name,
        "public_key": public_key,
    }
    machine.prepare(folder, record, user_data)
    if not machine.running(folder):
        _clean(folder)
        port = folder / SSH_PORT
        port.unlink(missing_ok=True)
        processes.start_module(folder, machine.NAME, _SERVICES[kind.name], [str(folder)])
        if kind.name == QEMU:  # it first sees what can run it
            processes.await_file(folder, machine.NAME, port, _PORT_SECONDS)


def load(folder: Path) -> Machine:
    """The machine of a folder."""
    record = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    made = _BOOTED.get(record.get("kind"), Machine)
    return made(record["name"], folder)


def shut_off(folder: Path) -> None:
    """Shut it down; its disk stays, and `start` boots it again."""
    _clean(folder)


def stop(folder: Path) -> None:
    """Shut it down, and its disk with it."""
    _clean(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _clean(folder: Path) -> None:
    """End what runs of it; mounts and networks end with that, control groups do not."""
    processes.end(folder, seconds=3)
    container_cgroups.remove(folder.name)
