"""The stack `local`: the same program on the cloud on this machine, all of it below `.local/`."""

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cli.errors import CommandError, DataGuarded, LockHeld
from cli.lock import alone
from cli.machines.guest_host import guest_host
from cli.machines.local_host import LocalHost
from cli.machines.machine import Host
from cli.paths import CHECKOUT, LocalPaths
from cli.stacks.orphans import end_orphans
from cli.stacks.stack import Stack
from cli.stacks.strays import Stray
from cli.stacks.target import LOCAL, StackHome, nothing_stands
from cli.terminal import print_progress, spinner
from infra.names import PROJECT
from local.cloud import LocalCloud
from local.machine import kinds
from local.machine.booted import Booted

NAME = LOCAL


class LocalStack:
    """Stands between the commands and the folder `.local/`."""

    def __init__(self, paths: LocalPaths | None = None) -> None:
        self.name: str = NAME
        self.paths = paths or LocalPaths()
        self.cloud = LocalCloud(self.paths.cloud)
        self._stack: Stack | None = None

    @property
    def exists(self) -> bool:
        """Whether something may be standing."""
        return self.paths.root.exists()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands out; raises CommandError where one is at work."""
        try:
            with alone(CHECKOUT):
                yield
        except LockHeld:
            raise CommandError(
                "Another ./pipeline command is changing the local stack: wait until it has ended."
            ) from None

    def check(self) -> None:
        """Its cloud has all that Pulumi.local.yaml asks for."""

    def open(self) -> Stack:
        """The stack with its cloud running, made if need be."""
        if self._stack is None:
            self._write_files()
            if not self.cloud.running:
                with spinner("Starting the cloud on this machine"):
                    self.cloud.start()
            self.cloud.install_plugin(self.paths.pulumi_home)
            end_orphans(str(self.paths.passphrase))
            self._stack = Stack(self.home())
            self._stack.forget_lock()
        return self._stack

    def require(self) -> Stack:
        """The standing stack; raises CommandError where there is none."""
        if not self.exists:
            raise nothing_stands(NAME)
        return self.open()

    def strays(self) -> Sequence[Stray]:
        """None: its cloud goes with it."""
        return ()

    def unclaimed_keys(self) -> str:
        """Nothing: its cloud goes with it."""
        return ""

    def forget_preview(self) -> None:
        """Stop the cloud that was started for it."""
        self.destroy()

    def make_machines_of(self, kind: kinds.Kind) -> None:
        """What VMs will be; raises CommandError where they stand as something else already."""
        standing = kinds.kept(self.paths.cloud)
        if self.cloud.folder.exists() and standing != kind:
            raise CommandError(
                f"The local pipeline stands with a machine of kind '{standing.name}' or of another "
                "suite: take it down first with './pipeline destroy'."
            )
        self.cloud = LocalCloud(self.paths.cloud, kind)

    def hosts(self) -> Sequence[Host]:
        """The cloud's machines, without asking the engine."""
        if not self.exists:
            raise nothing_stands(NAME)
        return [
            guest_host(machine, self.paths) if isinstance(machine, Booted) else LocalHost(machine)
            for machine in self.cloud.machines()
        ]

    def destroy(self, *, data: bool = False) -> None:
        """Take everything down through the engine, then the cloud itself, then the folder.

        Raises CommandError, with nothing touched, where data is guarded and `data` is not set.
        """
        failure: CommandError | None = None
        try:
            if self._engine_has_state():
                self.open().destroy(data=data)
        except DataGuarded:
            raise
        except CommandError as error:
            failure = error
        end_orphans(str(self.paths.passphrase))
        with spinner("Stopping the cloud on this machine"):
            self.cloud.stop()
        if failure:
            print_progress(f"The engine could not remove all: {failure.message}")
            print_progress(
                "The local cloud is stopped and removed with everything in it all the same."
            )
        shutil.rmtree(self.paths.root, ignore_errors=True)

    def _engine_has_state(self) -> bool:
        """Whether the engine ever got so far; if not, there is no need to find (or build) it."""
        return any(self.paths.state.glob(f".pulumi/stacks/{PROJECT}/{NAME}.json"))

    def home(self) -> StackHome:
        """All of it below `.local/`."""
        paths = self.paths
        return StackHome(
            NAME,
            paths.project,
            {
                "PULUMI_HOME": str(paths.pulumi_home),
                "PULUMI_BACKEND_URL": paths.state.as_uri(),
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(paths.passphrase),
                "OS_CLIENT_CONFIG_FILE": str(self.cloud.clouds_yaml),
            },
        )

    def _write_files(self) -> None:
        """The stack's files: secrets are made once, settings are taken over each time."""
        paths = self.paths
        for folder in (paths.root, paths.state, paths.project, paths.pulumi_home):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not paths.passphrase.exists():
            _write_private(paths)
        if not paths.ssh_key.exists():
            _make_ssh_key(paths)
        shutil.copyfile(CHECKOUT / "Pulumi.yaml", paths.project / "Pulumi.yaml")
        settings = yaml.safe_load((CHECKOUT / f"Pulumi.{NAME}.yaml").read_text())
        settings["config"][f"{PROJECT}:sshPublicKeyFile"] = f"{paths.ssh_key}.pub"
        copy = paths.project / f"Pulumi.{NAME}.yaml"
        if copy.exists():  # the engine's salt is the copy's own
            settings = {**yaml.safe_load(copy.read_text()), "config": settings["config"]}
        copy.write_text(yaml.safe_dump(settings))


def _write_private(paths: LocalPaths) -> None:
    paths.passphrase.touch(mode=0o600)
    paths.passphrase.write_text(secrets.token_urlsafe(24))


def _make_ssh_key(paths: LocalPaths) -> None:
    """A key pair of the stack's own, so that a newcomer needs none."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    Path(f"{paths.ssh_key}.pub").write_bytes(public + b" pipeline-local\n")
    paths.ssh_key.touch(mode=0o600)
    paths.ssh_key.write_bytes(private)
