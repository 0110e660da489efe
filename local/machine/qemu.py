"""A `qemu` machine: a kernel of its own boots the very user-data, found on a config drive.

Slow where it is emulated, so for an occasional look at what a container cannot show: limits that
the host's kernel does not enforce, DHCP, a disk that grows, a reboot of everything.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from local.machine import booted, qemu_agent, qemu_drive

TOOLS = ("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mke2fs", "xorriso")
_PACKAGES = "qemu-system-x86 qemu-utils mmdebstrap e2fsprogs xorriso"


def missing() -> str | None:
    """What this machine lacks to run one, as a sentence; None where nothing is lacking."""
    what = "Machines of kind 'qemu' need"
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        here = f"{platform.system()} on {platform.machine()}"
        return f"{what} Linux on x86-64 and this is {here}: use another kind."
    if os.geteuid() != 0:
        return f"{what} root, who builds their image: become root."
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"{what} {', '.join(absent)}: install {_PACKAGES}."
    return None


@dataclass(frozen=True)
class Qemu(booted.Booted):
    """A running guest, seen from the host."""

    seed: ClassVar[str] = f"/dev/disk/by-label/{qemu_drive.LABEL}"
    datasource: ClassVar[str] = "ConfigDrive"

    @property
    def accelerator(self) -> str:
        """`kvm` or `tcg`, which is software emulation."""
        return (self.folder / "accelerator").read_text(encoding="utf-8")

    def boot(self) -> str:
        """The kernel's boot id."""
        told = self.enter(["cat", "/proc/sys/kernel/random/boot_id"], 60)
        if told.returncode:
            raise ProcessLookupError(f"Machine {self.name} is going down.")
        return told.stdout.strip()

    def enter(
        self, command: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest as root, whatever its network does; output is text.

        Raises ProcessLookupError while it is not up.
        """
        return qemu_agent.run(self.folder, command, seconds)

    @property
    def installed(self) -> bool:
        """Whether the worker's packages are there."""
        try:
            return self.enter(["test", "-e", f"/{booted.INSTALLED}"], 60).returncode == 0
        except ProcessLookupError:
            return False
