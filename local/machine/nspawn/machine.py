"""A `container` machine: systemd-nspawn boots the user-data with real cloud-init and systemd.

It has its own disk (an overlay), network and processes, and shares the host's kernel and
clock; kernel boot, disk growth and DHCP are not covered.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from local.machine.machine import INSTALLED, NAME, BootedMachine
from local.machine.nspawn.seed import SEED

TOOLS = ("mmdebstrap", "systemd-nspawn", "slirp4netns", "nsenter")
_PACKAGES = "mmdebstrap systemd-container slirp4netns util-linux"


def missing() -> str | None:
    """Return one sentence about what this host lacks for such machines, None if nothing."""
    how = "leave out '--machine container'"
    if platform.system() != "Linux":
        return f"Machines of kind 'container' need Linux and this is {platform.system()}: {how}."
    if os.geteuid() != 0:
        return f"Machines of kind 'container' need root: become root, or {how}."
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return (
            f"Machines of kind 'container' need {', '.join(absent)}: install {_PACKAGES}, or {how}."
        )
    if not Path("/dev/net/tun").exists():
        return f"Machines of kind 'container' need /dev/net/tun: load the module tun, or {how}."
    return None


@dataclass(frozen=True)
class NspawnMachine(BootedMachine):
    """A guest of systemd-nspawn, seen from the host."""

    seed: ClassVar[str] = f"/{SEED}/user-data"
    datasource: ClassVar[str] = "NoCloud"

    def leader(self) -> int:
        """Return the process id, on the host, of the guest's process 1.

        Raises:
            ProcessLookupError: the machine is down.
        """
        outer = int((self.folder / f"{NAME}.pid").read_text(encoding="utf-8"))
        try:
            for process in psutil.Process(outer).children(recursive=True):
                if _namespace_ids(process.pid)[2:] == ["1"]:
                    return int(process.pid)
        except psutil.Error:
            pass
        raise ProcessLookupError(f"Machine {self.name} is down: it has no process 1.")

    def boot_id(self) -> str:
        """Return the host's number of process 1: the guest sees the host's own boot id."""
        return str(self.leader())

    def run_command(
        self, command: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest's namespaces as root; see `BootedMachine.run_command`."""
        leader = str(self.leader())
        namespaces = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
        return subprocess.run(
            ["nsenter", "-t", leader, *namespaces, "--", *command],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )

    @property
    def is_installed(self) -> bool:
        """Whether the worker's packages are installed."""
        try:
            return Path(f"/proc/{self.leader()}/root", INSTALLED).exists()
        except OSError:
            return False


def _namespace_ids(process: int) -> list[str]:
    """A process's ids in its process namespaces, the host's first (proc(5), NSpid)."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return []
    line = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    return line.split()[1:]
