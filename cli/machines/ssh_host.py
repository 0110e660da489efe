"""A machine on a cloud, reached over ssh: only from the operators' addresses, with their key.

Machines without a floating IP are reached through the first one.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cli.errors import CommandError, MachineNotReady, MachineUnreachable
from cli.machines.boot import SCRIPT, Step, unfinished_steps
from cli.machines.page import READY, Page, tunnelled
from cli.terminal import visible
from local.ports import free_port
from worker.settings import Web

_CONNECT_SECONDS = 15
_STEPS_SECONDS = 60
_SSH_FAILED = 255
_COMMAND_NOT_FOUND = 127
# The worker's files are root's; its credentials are found beside its settings (worker/settings.py).
# A partly installed worker could start too; the stamp is written when all packages are installed.
_WORKER = (
    f"test -e /opt/pipeline/venv/.installed || exit {_COMMAND_NOT_FOUND}; "
    "sudo -n env PYTHONPATH=/opt/pipeline/source PYTHONDONTWRITEBYTECODE=1 "
    "/opt/pipeline/venv/bin/python -m worker "
)
_JOURNAL = "sudo -n journalctl --no-pager --output=short-iso"
_CONSOLE_LINES = 400
_SHOWN_LINES = 12
#: Escape sequences (ECMA-48) of systemd's colours and firmware's cursor, and control characters.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f]"
)
_RELEVANT = re.compile(r"cloud-init|pipeline|error|fail|denied|unable", re.IGNORECASE)


@dataclass(frozen=True)
class SshHost:
    """A VM behind a floating IP, or one of the internal network.

    Attributes:
        name: Its name.
        instance: Its id in Nova.
        address: The floating IP, or the fixed one.
        user: The image's login.
        key: File of the private key, or of the public key if an agent holds the private one.
        known_hosts: File for the host keys.
        cloud: The entry of clouds.yaml.
        region: The region, "" for the entry's own.
        port: The port of sshd.
        jump: The machine through which it is reached, None if it has a floating IP.
    """

    name: str
    instance: str
    address: str
    user: str
    key: Path
    known_hosts: Path
    cloud: str
    region: str = ""
    port: int = 22
    jump: "SshHost | None" = None

    @property
    def is_on_this_computer(self) -> bool:
        """Return false."""
        return False

    def start_worker(self, arguments: Sequence[str], errors: IO[str]) -> subprocess.Popen[str]:
        """Start `python -m worker <arguments>` on the machine, over ssh."""
        return subprocess.Popen(
            [*self._ssh(is_batch=True), _WORKER + shlex.join(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
        )

    def explain_failure(self, code: int, errors: str) -> CommandError | None:
        """Return MachineUnreachable if ssh failed, MachineNotReady if there is no worker yet."""
        if code == _SSH_FAILED:
            lines = errors.strip().splitlines() or ["no answer"]
            if self.jump is None:
                where, booted, reason = self.address, "it has", lines[-1]
            else:  # the last line is about the lost connection to the jump's ssh
                where = f"{self.address}, through {self.jump.name} at {self.jump.address}"
                booted, reason = "both have", lines[0]
            return MachineUnreachable(
                f"Machine {self.name} cannot be reached over ssh at {where} ({visible(reason)}): "
                f"check that {booted} booted, that your address is in operatorCidrs, and that "
                f"{self.key} is the key's file."
            )
        if code == _COMMAND_NOT_FOUND or "command not found" in errors:
            return MachineNotReady(
                f"Machine {self.name} has no worker yet: it is still being installed, which takes "
                "some minutes after the first boot."
            )
        return None

    def steps(self) -> list[Step]:
        """Return the steps of its boot that failed or run; [] also if it does not answer."""
        try:
            answer = subprocess.run(
                [*self._ssh(is_batch=True), "sudo -n sh"],
                check=False,
                capture_output=True,
                text=True,
                input=SCRIPT,
                timeout=_STEPS_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return []
        return unfinished_steps(answer.stdout)

    def journal(
        self, lines: int, *, follow: bool, pipeline: str = "", service: str = ""
    ) -> list[str]:
        """Return an ssh command that prints the units' journal."""
        unit = f"pipeline-worker@{pipeline}.service" if pipeline else "pipeline-*"
        unit = f"pipeline-{service}.service" if service else unit
        options = [f"--unit={unit}", f"--lines={lines}", *(["--follow"] if follow else [])]
        return [*self._ssh(), f"{_JOURNAL} {shlex.join(options)}"]

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Hold an ssh tunnel to the port of the machine's loopback."""
        port = free_port()
        options = (
            *("-T", "-S", "none", "-L", f"127.0.0.1:{port}:127.0.0.1:{Web().port}"),
            *("-o", "ExitOnForwardFailure=yes"),
            *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"),
        )

        def explain(code: int, errors: str) -> CommandError:
            return self.explain_failure(code, errors) or CommandError(
                f"The tunnel to machine {self.name} cannot be made: {visible(errors.strip())}."
            )

        # sshd forwards before it runs the command, which ends with its input.
        command = [*self._ssh(*options), f"echo {READY}; exec cat"]
        with tunnelled(self.name, port, command, explain) as page:
            yield page

    def login(self) -> list[str]:
        """Return an ssh command for a person: it may ask for the key's passphrase."""
        return self._ssh()

    def console(self) -> str:
        """Return the last lines of Nova's console log, or why there are none."""
        from clients.connection import cloud_errors, connect
        from clients.errors import CloudError

        try:
            with cloud_errors(self.cloud):
                compute = connect(self.cloud, self.region).compute
                found = compute.get_server_console_output(self.instance, length=_CONSOLE_LINES)
        except CloudError as error:
            return str(error)
        return str((found or {}).get("output") or "")

    def cloud_status(self) -> str:
        """Return Nova's status of the machine, "" if it is active or Nova cannot be queried."""
        from clients.connection import cloud_errors, connect
        from clients.errors import CloudError

        try:
            with cloud_errors(self.cloud):
                found = connect(self.cloud, self.region).compute.find_server(self.instance)
        except CloudError:
            return ""
        status = str(found.status) if found else "DELETED"
        return "" if status == "ACTIVE" else status

    def _ssh(self, *options: str, is_batch: bool = False) -> list[str]:
        """Return an ssh command with the options; `is_batch` forbids it to ask for a passphrase.

        Host keys are kept per instance: another VM behind the same address causes no warning. `-J`
        would take none of these options to the jump.
        """
        more = (
            f"ConnectTimeout={_CONNECT_SECONDS}",
            "StrictHostKeyChecking=accept-new",
            f'UserKnownHostsFile="{_escaped(self.known_hosts)}"',
            f"HostKeyAlias={self.instance}",
            "LogLevel=ERROR",
            *(["BatchMode=yes"] if is_batch else []),
            *self._proxy(is_batch=is_batch),
        )
        pairs = [word for option in more for word in ("-o", option)]
        where = ["-p", str(self.port), "-i", str(self.key), f"{self.user}@{self.address}"]
        return ["ssh", *options, *pairs, *where]

    def _proxy(self, *, is_batch: bool) -> Iterator[str]:
        """Yield the option that connects through the jump, if there is one (ssh_config(5))."""
        if self.jump is not None:
            forward = ("-W", f"{self.address}:{self.port}")
            command = self.jump._ssh(*forward, is_batch=is_batch)
            yield f"ProxyCommand={_escaped(shlex.join(command))}"


def _escaped(text: object) -> str:
    """Escape the percent signs that ssh would expand (ssh_config(5), TOKENS)."""
    return str(text).replace("%", "%%")


def relevant_lines(log: str) -> Sequence[str]:
    """Return a console log's last lines about cloud-init and the pipeline, else its last lines."""
    lines = [line.rstrip() for line in _CONTROL.sub("", log).splitlines() if line.strip()]
    return ([line for line in lines if _RELEVANT.search(line)] or lines)[-_SHOWN_LINES:]
