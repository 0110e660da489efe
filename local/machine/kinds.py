"""The kinds of machine: which one a cloud uses, and how machines of any kind start and stop."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local import private_file, processes
from local.machine import machine
from local.machine.firewall import Interface
from local.machine.machine import SSH_PORT_FILE, LocalMachine
from local.machine.nspawn import cgroups
from local.machine.nspawn.machine import NspawnMachine
from local.machine.process.machine import ProcessMachine
from local.machine.qemu.machine import ACCELERATOR_FILE, QemuMachine

PROCESS, NSPAWN, QEMU = "process", "container", "qemu"
"""The values of `--machine`; users know systemd-nspawn's as `container`."""
_SERVICES = {
    PROCESS: "local.machine.process.service",
    NSPAWN: "local.machine.nspawn.service",
    QEMU: "local.machine.qemu.service",
}
_CLASSES: dict[str, type[LocalMachine]] = {
    PROCESS: ProcessMachine,
    NSPAWN: NspawnMachine,
    QEMU: QemuMachine,
}
_PROBE_SECONDS = 60


@dataclass(frozen=True)
class MachineKind:
    """What a cloud makes its VMs of.

    Attributes:
        name: `process`, `container` or `qemu`.
        tree: the root file system that systemd-nspawn boots, the folder of the image that QEMU
            boots, or "" for a process.
    """

    name: str = PROCESS
    tree: str = ""


def save(cloud: Path, kind: MachineKind) -> None:
    """Store the kind of a cloud's machines in the cloud's folder."""
    private_file.write(cloud / "kind.json", json.dumps(asdict(kind)))


def saved(cloud: Path) -> MachineKind:
    """Return the kind of a cloud's machines; `process` where none was saved."""
    path = cloud / "kind.json"
    if not path.exists():
        return MachineKind()
    return MachineKind(**json.loads(path.read_text(encoding="utf-8")))


def start(
    folder: Path,
    kind: MachineKind,
    name: str,
    user_data: str,
    public_key: str,
    *,
    interface: Interface | None = None,
) -> None:
    """Boot a machine, or boot it again if it is down; does not wait until it is up.

    Args:
        folder: the machine's folder; its name is the server's id.
        kind: what the machine is made of.
        name: the server's name.
        user_data: user-data as packed by `local.machine.user_data.pack`.
        public_key: the SSH key that Nova's metadata would hold, "" for none.
        interface: a guest's interface in the cloud's internal network.
    """
    record: dict[str, Any] = {"name": name, "kind": kind.name}
    if kind.name != PROCESS:
        record |= {"tree": kind.tree, "id": folder.name, "public_key": public_key}
        record["interface"] = interface and interface.as_record()
    machine.prepare(folder, record, user_data)
    if machine.is_running(folder):
        return
    _end(folder)
    for file in (folder / SSH_PORT_FILE, folder / ACCELERATOR_FILE):
        file.unlink(missing_ok=True)
    processes.start_module(folder, machine.NAME, _SERVICES[kind.name], [str(folder)])
    if kind.name == QEMU:  # it first finds out whether KVM works
        processes.await_file(folder, machine.NAME, folder / ACCELERATOR_FILE, _PROBE_SECONDS)


def load(folder: Path) -> LocalMachine:
    """Return the machine of a folder."""
    record = machine.load_record(folder)
    return _CLASSES[record.get("kind", PROCESS)](record["name"], folder)


def shut_off(folder: Path) -> None:
    """Shut a machine down, as Nova's stop does; its disk stays, and `start` boots it again."""
    if machine.is_running(folder):
        load(folder).power_off()
    _end(folder)


def stop(folder: Path) -> None:
    """End a machine at once and remove its folder."""
    _end(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _end(folder: Path) -> None:
    """End its processes; mounts and networks end with them, control groups do not."""
    processes.end(folder, seconds=3)
    cgroups.remove(folder.name)
