"""The service of a `qemu` machine: `python -m local.machine.qemu.service FOLDER`.

It writes the disks, then replaces itself by QEMU: nothing of the machine outlives that process.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from local import private_file
from local.machine import machine
from local.machine.machine import SSH_PORT_FILE, is_open_outside
from local.machine.nspawn.namespaces import die_with_parent
from local.machine.qemu import agent, config_drive
from local.machine.qemu import link as qemu_link
from local.machine.qemu.image import Image
from local.machine.qemu.machine import ACCELERATOR_FILE
from local.machine.vendor_data import HOST
from local.ports import free_port

KVM, EMULATION = "kvm", "tcg"
_CPU = {KVM: "host,-arch-capabilities", EMULATION: "max"}
_USERSPACE = "Loading, please wait"  # the first output of Debian's initial RAM disk
_PROBE_SECONDS = 15
_MEMORY_MIB, _CORES, _DISK = 1024, 2, "8G"  # a small flavor, and as many cores as CI has


def main(folder: Path) -> None:
    """Replace this process by the machine in `folder`."""
    os.chdir(folder)  # sockets have short names
    record = machine.load_record(folder)
    image = Image(Path(record["tree"]))
    packed = (folder / "user-data").read_text("utf-8")
    config_drive.write(folder / "config.iso", record, packed)
    if not (folder / "disk.qcow2").exists():
        backing = ["-f", "qcow2", "-F", "raw", "-b", str(image.disk)]
        subprocess.run(["qemu-img", "create", "-q", *backing, "disk.qcow2", _DISK], check=True)
    accelerator = KVM if _kvm_boots(image) else EMULATION
    port = free_port() if is_open_outside(folder) else None
    if port is not None:
        private_file.write(folder / SSH_PORT_FILE, str(port))
    private_file.write(folder / ACCELERATOR_FILE, accelerator)
    command = [*_basis(image, accelerator, "root=/dev/vda rw"), *_devices(record["id"], port)]
    if interface := machine.load_interface(folder):
        subprocess.Popen(
            [sys.executable, "-m", "local.machine.qemu.link"],
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - there is no other thread
        )
        command += _link(interface.mac)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


def _kvm_boots(image: Image) -> bool:
    """Whether a kernel reaches its userspace under KVM: on some hosts it hangs before."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.TemporaryFile() as output:
        command = [*_basis(image, KVM, "panic=-1"), "-no-reboot", "-serial", "stdio"]
        guest = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
        )
        try:
            guest.wait(_PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            guest.kill()
            guest.wait()
        output.seek(0)
        return _USERSPACE.encode() in output.read()


def _basis(image: Image, accelerator: str, kernel_options: str) -> list[str]:
    """The command of a machine with a kernel and no devices."""
    return [
        *("qemu-system-x86_64", "-machine", "q35", "-accel", accelerator),
        *("-cpu", _CPU[accelerator], "-smp", str(_CORES), "-m", str(_MEMORY_MIB)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", f"console=ttyS0 {kernel_options}"),
    ]


def _link(mac: str) -> list[str]:
    """The options for the interface in the cloud's internal network."""
    sockets = (
        f"local.type=unix,local.path={qemu_link.QEMU},remote.type=unix,remote.path={qemu_link.OWN}"
    )
    return [
        *("-netdev", f"dgram,id=link,{sockets}"),
        *("-device", f"virtio-net-pci,netdev=link,mac={mac}"),
    ]


def _devices(identifier: str, port: int | None) -> list[str]:
    """The options for the devices that Nova gives a server, on QEMU's user network."""
    system = f"type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,uuid={identifier}"
    network = f"user,id=network,ipv6=off,host={HOST}"
    network += "" if port is None else f",hostfwd=tcp:127.0.0.1:{port}-:22"
    mac = config_drive.MAC
    return [
        *("-smbios", system, "-device", "virtio-rng-pci"),
        *("-drive", "file=disk.qcow2,if=virtio,cache=unsafe,discard=unmap"),
        *("-drive", "file=config.iso,if=virtio,format=raw,readonly=on"),
        *("-netdev", network, "-device", f"virtio-net-pci,netdev=network,mac={mac}"),
        *("-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=agent,path={agent.SOCKET},server=on,wait=off"),
        *("-device", "virtio-serial"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
