"""A `container` machine: real cloud-init and real systemd boot the very user-data.

systemd-nspawn on a Debian tree, with a disk (an overlay), a network and processes of its own. It
shares the host's kernel and clock; kernel boot, disk growth and DHCP are not covered.
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

from local.machine import booted, container_seed
from local.machine.machine import NAME

TOOLS = ("mmdebstrap", "systemd-nspawn", "slirp4netns", "nsenter")
_PACKAGES = "mmdebstrap systemd-container slirp4netns util-linux"


def missing() -> str | None:
    """What this machine lacks to run one, as a sentence; None where nothing is lacking."""
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
class Container(booted.Booted):
    """A running guest, seen from the host."""

    seed: ClassVar[str] = f"/{container_seed.SEED}/user-data"
    datasource: ClassVar[str] = "NoCloud"

    @property
    def root(self) -> Path:
        """The guest's `/`; raises ProcessLookupError while it has none."""
        return Path(f"/proc/{self.leader()}/root")

    def leader(self) -> int:
        """The guest's process 1, by its number here; raises ProcessLookupError without one."""
        outer = int((self.folder / f"{NAME}.pid").read_text(encoding="utf-8"))
        try:
            for process in psutil.Process(outer).children(recursive=True):
                if _numbers(process.pid)[2:] == ["1"]:
                    return int(process.pid)
        except psutil.Error:
            pass
        raise ProcessLookupError(f"Machine {self.name} has no process: it is not up.")

    def boot(self) -> str:
        """The number of its process 1: the kernel's own boot id is the host's."""
        return str(self.leader())

    def enter(
        self, command: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest as root, whatever its network does; output is text."""
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
    def installed(self) -> bool:
        """Whether the worker's packages are there."""
        try:
            return (self.root / booted.INSTALLED).exists()
        except OSError:
            return False


def _numbers(process: int) -> list[str]:
    """A process's numbers in the namespaces from ours inwards (proc(5), NSpid)."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return []
    line = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    return line.split()[1:]
