"""What all kinds of machine have: a folder, a console, and a worker to run commands with."""

import contextlib
import json
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from local import private_file, processes
from local.errors import LocalCloudError
from local.machine.firewall import Interface

NAME = "machine"
"""The name of its process below its folder (local/processes.py)."""
SSH = 22
SSH_PORT_FILE = "ssh.port"
INSTALLED = "opt/pipeline/venv/.installed"
"""The file that the installation writes last, below the machine's `/`."""
INSTALL_SECONDS = 600
_FORWARD_SECONDS = 60  # slirp4netns starts first, or QEMU finds out whether KVM works
POWER_OFF_SECONDS = 60
"""How long Nova waits for a guest before it ends it (its `shutdown_timeout`)."""
_WORKER = (
    *("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"),
    *("PYTHONPATH=/opt/pipeline/source", "PYTHONDONTWRITEBYTECODE=1"),
    *("/opt/pipeline/venv/bin/python", "-m", "worker"),
)


@dataclass(frozen=True)
class LocalMachine(ABC):
    """A VM of the local cloud, seen from the host.

    Attributes:
        name: the server's name in Nova.
        folder: its files on the host.
    """

    name: str
    folder: Path

    @property
    @abstractmethod
    def console(self) -> Path:
        """The file behind Nova's console log; missing before the first boot."""

    @abstractmethod
    def power_off(self) -> None:
        """End what runs on the machine as its shutdown does; returns after a minute at most."""

    @abstractmethod
    def run_worker(
        self, arguments: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m worker` on the machine, once its worker is installed.

        Args:
            arguments: the worker's command line.
            seconds: the limit of the run itself, None for no limit.

        Returns:
            The ended process; its output is text.
        """


class BootedMachine(LocalMachine):
    """A machine that boots the user-data with real cloud-init and systemd."""

    seed: ClassVar[str]
    """The path in the guest where cloud-init finds user-data; only root may read it."""
    datasource: ClassVar[str]
    """cloud-init's name of that data source."""

    @property
    def console(self) -> Path:
        """The output of systemd and of the installation."""
        return self.folder / "console.log"

    def await_ssh_port(self) -> int | None:
        """Wait for the port of 127.0.0.1 that is forwarded to the guest's sshd.

        Returns:
            The port; None if only other machines may reach that sshd, at the address of the
            machine's `interface`, or if the machine has ended.

        Raises:
            LocalCloudError: the machine runs, but forwards no port within a minute.
        """
        if not is_open_outside(self.folder):
            return None
        file = self.folder / SSH_PORT_FILE
        port = processes.await_file(self.folder, NAME, file, _FORWARD_SECONDS)
        if port is None and is_running(self.folder):
            raise LocalCloudError(
                f"Machine {self.name} has forwarded no port to its sshd in {_FORWARD_SECONDS} s: "
                f"see {self.folder / (NAME + '.log')}."
            )
        return int(port) if port else None

    @property
    def interface(self) -> Interface | None:
        """Its interface in the cloud's internal network, None without a cloud."""
        return load_interface(self.folder)

    @abstractmethod
    def boot_id(self) -> str:
        """Return a text that differs between two boots.

        Raises:
            ProcessLookupError: the machine is down.
        """

    @abstractmethod
    def run_command(
        self, command: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest as root; needs no network.

        Args:
            command: the program and its arguments.
            seconds: the limit of the run, None for no limit.

        Returns:
            The ended process; its output is text.

        Raises:
            ProcessLookupError: the machine is down.
        """

    def power_off(self) -> None:
        """Ask systemd to shut down, and wait until it has."""
        deadline = time.monotonic() + POWER_OFF_SECONDS
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            self.run_command(["systemctl", "poweroff"], POWER_OFF_SECONDS)
            while is_running(self.folder) and time.monotonic() < deadline:
                time.sleep(0.1)

    @property
    @abstractmethod
    def is_installed(self) -> bool:
        """Whether the worker's packages are installed."""

    def run_worker(
        self, arguments: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m worker` in the guest, once its worker is installed.

        Args:
            arguments: the worker's command line.
            seconds: the limit of the run itself, None for no limit.

        Returns:
            The ended process; its output is text.
        """
        deadline = time.monotonic() + INSTALL_SECONDS
        while not self.is_installed and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.run_command([*_WORKER, *arguments], seconds)


def prepare(folder: Path, record: Mapping[str, Any], user_data: str) -> None:
    """Write the files that a machine is started from.

    Args:
        folder: the machine's folder, made if need be.
        record: what `load_record` is to return.
        user_data: user-data as packed by `local.machine.user_data.pack`.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private_file.write(folder / "user-data", user_data)
    private_file.write(folder / "machine.json", json.dumps(record))


def load_record(folder: Path) -> dict[str, Any]:
    """Return the record that `prepare` wrote."""
    record: dict[str, Any] = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    return record


def load_interface(folder: Path) -> Interface | None:
    """Return the machine's interface in the cloud's internal network, None if it has none."""
    found = load_record(folder).get("interface")
    return Interface.from_record(found) if found else None


def is_open_outside(folder: Path) -> bool:
    """Return whether a rule opens the machine's sshd to addresses outside the cloud's network."""
    interface = load_interface(folder)
    return interface is None or interface.is_open_outside(SSH)


def is_running(folder: Path) -> bool:
    """Whether the machine of the folder is up."""
    return processes.is_running(folder, NAME)
