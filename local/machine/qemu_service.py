"""What becomes a `qemu` machine: `python -m local.machine.qemu_service FOLDER`.

It makes the disks, then executes QEMU in its own place: the machine is one process, and all of it
goes with that.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from local import files
from local.machine import qemu_agent, qemu_drive
from local.machine.booted import SSH_PORT
from local.machine.qemu_image import Image

KVM, EMULATION = "kvm", "tcg"
_CPU = {KVM: "host,-arch-capabilities", EMULATION: "max"}
_USERSPACE = "Loading, please wait"  # the first words of Debian's initial RAM disk
_PROBE_SECONDS = 15
_MEMORY_MIB, _CORES, _DISK = 1024, 2, "8G"  # a small flavor, and as many cores as CI has


def main(folder: Path) -> None:
    """Replace this process."""
    os.chdir(folder)  # sockets have short names
    record = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    image = Image(Path(record["tree"]))
    qemu_drive.write(folder / "config.iso", record, (folder / "user-data").read_text("utf-8"))
    if not (folder / "disk.qcow2").exists():
        backing = ["-f", "qcow2", "-F", "raw", "-b", str(image.disk)]
        subprocess.run(["qemu-img", "create", "-q", *backing, "disk.qcow2", _DISK], check=True)
    accelerator = KVM if _kvm_boots(image) else EMULATION
    port = _free_port()
    files.write(folder / "accelerator", accelerator)
    files.write(folder / SSH_PORT, str(port))
    command = [*_basis(image, accelerator, "root=/dev/vda rw"), *_devices(record["id"], port)]
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


def _kvm_boots(image: Image) -> bool:
    """Whether a kernel gets as far as its userspace: seen were hosts where it hangs before."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.TemporaryFile() as said:
        command = [*_basis(image, KVM, "panic=-1"), "-no-reboot", "-serial", "stdio"]
        guest = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.DEVNULL
        )
        try:
            guest.wait(_PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            guest.kill()
            guest.wait()
        said.seek(0)
        return _USERSPACE.encode() in said.read()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _basis(image: Image, accelerator: str, more: str) -> list[str]:
    """A machine with a kernel, and nothing else."""
    return [
        *("qemu-system-x86_64", "-machine", "q35", "-accel", accelerator),
        *("-cpu", _CPU[accelerator], "-smp", str(_CORES), "-m", str(_MEMORY_MIB)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", f"console=ttyS0 {more}"),
    ]


def _devices(identifier: str, port: int) -> list[str]:
    """What Nova gives one, on QEMU's user network: the host's loopback is 10.0.2.2, its DNS
    10.0.2.3."""
    system = f"type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,uuid={identifier}"
    network = f"user,id=network,ipv6=off,hostfwd=tcp:127.0.0.1:{port}-:22"
    return [
        *("-smbios", system, "-device", "virtio-rng-pci"),
        *("-drive", "file=disk.qcow2,if=virtio,cache=unsafe,discard=unmap"),
        *("-drive", "file=config.iso,if=virtio,format=raw,readonly=on"),
        *("-netdev", network, "-device", f"virtio-net-pci,netdev=network,mac={qemu_drive.MAC}"),
        *("-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=agent,path={qemu_agent.SOCKET},server=on,wait=off"),
        *("-device", "virtio-serial"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
