"""A `qemu` machine: its own kernel boots the user-data, which is on a config drive.

It is slow where it is emulated, so it is for what systemd-nspawn cannot show: limits that the
host's kernel does not enforce, DHCP, a disk that grows, a reboot of everything.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from local.machine.machine import INSTALLED, BootedMachine
from local.machine.qemu import agent, config_drive

TOOLS = ("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mke2fs", "xorriso")
_PACKAGES = "qemu-system-x86 qemu-utils mmdebstrap e2fsprogs xorriso"
ACCELERATOR_FILE = "accelerator"
_AGENT_SECONDS = 60


def missing() -> str | None:
    """Return one sentence about what this host lacks for such machines, None if nothing."""
    what = "Machines of kind 'qemu' need"
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        here = f"{platform.system()} on {platform.machine()}"
        return f"{what} Linux on x86-64 and this is {here}: use another kind."
    if os.geteuid() != 0:
        return f"{what} root to build their image: become root."
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"{what} {', '.join(absent)}: install {_PACKAGES}."
    return None


@dataclass(frozen=True)
class QemuMachine(BootedMachine):
    """A guest of QEMU, seen from the host."""

    seed: ClassVar[str] = f"/dev/disk/by-label/{config_drive.LABEL}"
    datasource: ClassVar[str] = "ConfigDrive"

    @property
    def accelerator(self) -> str:
        """`kvm`, or `tcg`, which is software emulation."""
        return (self.folder / ACCELERATOR_FILE).read_text(encoding="utf-8")

    def boot_id(self) -> str:
        """Return the kernel's boot id.

        Raises:
            ProcessLookupError: the machine is down, or going down.
        """
        answer = self.run_command(["cat", "/proc/sys/kernel/random/boot_id"], _AGENT_SECONDS)
        if answer.returncode:
            raise ProcessLookupError(f"Machine {self.name} is going down.")
        return answer.stdout.strip()

    def run_command(
        self, command: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command through the guest agent as root; see `BootedMachine.run_command`."""
        return agent.run(self.folder, command, seconds)

    @property
    def is_installed(self) -> bool:
        """Whether the worker's packages are installed."""
        try:
            return self.run_command(["test", "-e", f"/{INSTALLED}"], _AGENT_SECONDS).returncode == 0
        except ProcessLookupError:
            return False
