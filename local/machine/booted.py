"""A machine that boots the very user-data with real cloud-init and systemd, seen from the host."""

import subprocess
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from local.machine.machine import Machine

BOOT_SECONDS = 600
_WORKER = (
    *("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"),
    *("PYTHONPATH=/opt/pipeline/source", "PYTHONDONTWRITEBYTECODE=1"),
    *("/opt/pipeline/venv/bin/python", "-m", "worker"),
)
SSH_PORT = "ssh.port"
INSTALLED = "opt/pipeline/venv/.installed"
"""The file that the installation writes last, below the machine's `/`."""


class Booted(Machine):
    """What a container and an emulated machine have in common."""

    seed: ClassVar[str]
    """Where cloud-init finds user-data in it: only root may look."""
    datasource: ClassVar[str]
    """cloud-init's name for that."""

    @property
    def console(self) -> Path:
        """What Nova calls the console log: systemd's and the installation's words."""
        return self.folder / "console.log"

    @property
    def ssh_port(self) -> int:
        """The port of 127.0.0.1 that leads to the guest's sshd."""
        return int((self.folder / SSH_PORT).read_text(encoding="utf-8"))

    @abstractmethod
    def boot(self) -> str:
        """What tells one boot from the next; raises ProcessLookupError while it is down."""

    @abstractmethod
    def enter(
        self, command: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest as root, whatever its network does; output is text."""

    @property
    @abstractmethod
    def installed(self) -> bool:
        """Whether the worker's packages are there."""

    def run(
        self, arguments: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`python -m worker …` in the guest, which is waited for while it installs the worker."""
        deadline = time.monotonic() + BOOT_SECONDS
        while not self.installed and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.enter([*_WORKER, *arguments], seconds)
