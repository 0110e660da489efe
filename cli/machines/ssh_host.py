"""A machine on a cloud, reached over ssh: only from the operators' addresses, with their key."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.errors import MachineNotReady, MachineUnreachable
from cli.machines.boot_steps import SCRIPT, Step, obstacles
from cli.machines.console import console_log

_CONNECT_SECONDS = 15
_SSH_FAILED = 255
_COMMAND_NOT_FOUND = 127
# The worker's files are root's; its credentials are found beside its settings (worker/settings.py).
# It may answer with half of its packages there: the stamp is what ends the installation.
_WORKER = (
    f"test -e /opt/pipeline/venv/.installed || exit {_COMMAND_NOT_FOUND}; "
    "sudo -n env PYTHONPATH=/opt/pipeline/source PYTHONDONTWRITEBYTECODE=1 "
    "/opt/pipeline/venv/bin/python -m worker "
)
_JOURNAL = "sudo -n journalctl --no-pager --output=short-iso --unit='pipeline-*' --lines="


@dataclass(frozen=True)
class SshHost:
    """A VM behind a floating IP. `instance` is its id in Nova."""

    name: str
    instance: str
    address: str
    user: str
    key: Path
    known_hosts: Path
    cloud: str
    port: int = 22

    def worker(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run the worker's command there; raises MachineUnreachable also while it is installed."""
        answer = subprocess.run(
            [*self._ssh("-o", "BatchMode=yes"), _WORKER + shlex.join(arguments)],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        lines = answer.stderr.strip().splitlines() or ["no answer"]
        if answer.returncode == _SSH_FAILED:
            raise MachineUnreachable(
                f"Machine {self.name} cannot be reached over ssh at {self.address} ({lines[-1]}): "
                "check that it has booted, that your address is in operatorCidrs, and that "
                f"{self.key} is the key's file."
            )
        if answer.returncode == _COMMAND_NOT_FOUND or "command not found" in answer.stderr:
            raise MachineNotReady(
                f"Machine {self.name} has no worker yet: it is still being installed, which takes "
                "some minutes after the first boot."
            )
        return answer

    def steps(self) -> list[Step]:
        """What of its first boot fails or lasts; [] too where it cannot be reached."""
        answer = subprocess.run(
            [*self._ssh("-o", "BatchMode=yes"), "sudo -n sh"],
            check=False,
            capture_output=True,
            text=True,
            input=SCRIPT,
        )
        return obstacles(answer.stdout)

    def journal(self, lines: int, *, follow: bool) -> list[str]:
        """journald there has what the units said."""
        return [*self._ssh(), f"{_JOURNAL}{lines}{' --follow' if follow else ''}"]

    def login(self) -> list[str]:
        """A shell for a person: ssh may ask for the key's passphrase."""
        return self._ssh()

    def console(self) -> str:
        """Nova's console log: install and migrate write there too."""
        return console_log(self.cloud, self.instance)

    def _ssh(self, *options: str) -> list[str]:
        """Keys are known per instance: another VM behind the same address raises no alarm."""
        more = (
            f"ConnectTimeout={_CONNECT_SECONDS}",
            "StrictHostKeyChecking=accept-new",
            f'UserKnownHostsFile="{self.known_hosts}"',
            f"HostKeyAlias={self.instance}",
            "LogLevel=ERROR",
        )
        pairs = [word for option in more for word in ("-o", option)]
        where = ["-p", str(self.port), "-i", str(self.key), f"{self.user}@{self.address}"]
        return ["ssh", *options, *pairs, *where]
