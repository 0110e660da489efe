"""The stack `local`: the same program on the cloud on this machine, all of it below `.local/`."""

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError, DataGuarded
from cli.machines.host import Host
from cli.machines.local_host import local_hosts
from cli.paths import CHECKOUT, LocalPaths
from cli.stacks.engine_processes import end_orphans
from cli.stacks.outputs import on_loopback
from cli.stacks.pulumi_stack import CLOUDS_FILE, PulumiStack, Workspace
from cli.stacks.target import LOCAL, not_deployed
from cli.terminal import print_progress, spinner
from infra.names import PROJECT
from local import file_lock, private_file, processes
from local.cloud import LocalCloud
from local.errors import LockHeld
from local.machine import kinds
from local.machine.process.machine import NO_BROKER, ProcessMachine

if TYPE_CHECKING:
    from cli.stacks.strays import Stray


class LocalStack:
    """The stack whose files, state and cloud are all below `.local/`."""

    def __init__(self, paths: LocalPaths | None = None, *, has_pipelines: bool = True) -> None:
        """Read nothing yet.

        Args:
            paths: The stack's files.
            has_pipelines: Whether it has the pipelines of pipelines.local.yaml; a demo has not.
        """
        self.name: str = LOCAL
        self.paths = paths or LocalPaths()
        self.has_pipelines = has_pipelines
        self.cloud = LocalCloud(self.paths.cloud)
        self._stack: PulumiStack | None = None
        self._has_lock = False

    @property
    def exists(self) -> bool:
        """Whether something may be deployed."""
        return self.paths.root.exists()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock out other commands.

        Raises:
            CommandError: Another command is changing the stack.
        """
        try:
            with file_lock.hold(CHECKOUT, wait=False):
                self._has_lock = True
                try:
                    yield
                finally:
                    self._has_lock = False
        except LockHeld:
            raise CommandError(
                "Another ./pipeline command is changing the local stack: wait until it has ended."
            ) from None

    def check(self) -> None:
        """Say what is missing for cameras; the cloud has all that Pulumi.local.yaml names."""
        from cli.pipelines.settings_file import as_settings

        if self.has_pipelines and as_settings(self.paths.pipelines).get("mqtt"):
            self.report_missing_broker()

    def report_missing_broker(self) -> None:
        """Print a sentence if this computer has no broker for cameras."""
        is_process = kinds.saved(self.paths.cloud).name == kinds.PROCESS
        if is_process and processes.find_program("mosquitto") is None:
            print_progress(NO_BROKER)

    def open(self) -> PulumiStack:
        """Return the stack, ready to be changed, with its cloud running."""
        if self._stack is None:
            self._write_files()
            end_orphans(str(self.paths.passphrase))
            self._stack = PulumiStack(self.workspace())
            self._start_cloud(self._stack.prepare)
            if self._is_locked():  # the engine's own answer would take half a second
                self._stack.drop_lock()
        return self._stack

    def require(self) -> PulumiStack:
        """Return the stack, ready to be changed.

        Raises:
            CommandError: Nothing is deployed.
        """
        if not self.exists:
            raise not_deployed(LOCAL)
        return self.open()

    def outputs(self, *, show_secrets: bool = True) -> dict[str, Any]:
        """Return the deployed stack's outputs; without `show_secrets`, "[secret]" for each secret.

        Raises:
            CommandError: Nothing is deployed.
        """
        if not self._has_state():  # Pulumi's CLI may have to be built first
            raise not_deployed(LOCAL)
        self._write_files()
        self._start_cloud()
        found = PulumiStack(self.workspace()).outputs(show_secrets=show_secrets)
        for machine in self.cloud.machines():
            if isinstance(machine, ProcessMachine):
                machine.await_boot()
                return on_loopback(found, machine.ports)
        return found

    def workspace(self) -> Workspace:
        """Return the stack's files and the environment by which the engine finds its state."""
        paths = self.paths
        return Workspace(
            LOCAL,
            paths.project,
            {
                "PULUMI_HOME": str(paths.pulumi_home),
                "PULUMI_BACKEND_URL": paths.state.as_uri(),
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(paths.passphrase),
                CLOUDS_FILE: str(self.cloud.clouds_yaml),
            },
        )

    def strays(self) -> "Sequence[Stray]":
        """Return none: the local cloud is deleted with the stack."""
        return ()

    def unclaimed_keys(self) -> str:
        """Return "": the local cloud is deleted with the stack."""
        return ""

    def drop_preview(self) -> None:
        """Stop the cloud that was started for a preview; nothing is deployed on it."""
        self._remove()

    def make_machines_of(self, kind: kinds.MachineKind) -> None:
        """Choose what VMs are.

        Raises:
            CommandError: They exist as something else already.
        """
        existing = kinds.saved(self.paths.cloud)
        if self.cloud.folder.exists() and existing != kind:
            raise CommandError(
                f"The local stack is deployed with a machine of kind '{existing.name}' or of "
                "another suite: destroy it first with './pipeline destroy'."
            )
        self.cloud = LocalCloud(self.paths.cloud, kind)

    def hosts(self) -> Sequence[Host]:
        """Return the cloud's running machines, without asking the engine.

        Raises:
            CommandError: Nothing is deployed, or no machine runs while another command changes the
                stack.
        """
        if not self.exists:
            raise not_deployed(LOCAL)
        machines = self.cloud.machines()
        if not machines and not self._has_lock:
            # Another command that holds the lock may be making the first machine: `alone` says so.
            with self.alone():
                machines = self.cloud.machines()
        return local_hosts(machines, self.paths)

    def destroy(self, *, data: bool = False) -> None:
        """Delete everything through the engine, then the cloud itself, then the folder.

        Raises:
            DataGuarded: Data is protected and `data` not set; nothing was deleted.
        """
        failure: CommandError | None = None
        try:
            if self._has_state():
                self.open().destroy(data=data)
        except DataGuarded:
            raise
        except CommandError as error:
            failure = error
        self._remove()
        if failure:
            print_progress(f"The engine could not delete everything: {failure.message}")
            print_progress("The local cloud was stopped and deleted with everything in it anyway.")

    def check_nothing_left(self) -> None:
        """Do nothing: the local cloud is deleted with the stack."""

    def _remove(self) -> None:
        """Stop the cloud and delete everything of the stack on this computer."""
        end_orphans(str(self.paths.passphrase))
        with spinner("Stopping the cloud on this machine"):
            self.cloud.stop()
            processes.end(self.paths.example)
        shutil.rmtree(self.paths.root, ignore_errors=True)

    def _has_state(self) -> bool:
        """Whether the engine has ever run; if not, there is no need to install (or build) it."""
        return any(self.paths.state.glob(f".pulumi/stacks/{PROJECT}/{LOCAL}.json"))

    def _is_locked(self) -> bool:
        """Whether a killed engine left its lock: one JSON file (pulumi/pkg/backend/diy/lock.go)."""
        return any(self.paths.state.glob(f".pulumi/locks/**/{PROJECT}/{LOCAL}/*.json"))

    def _start_cloud(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Start the cloud unless it runs, call `meanwhile`, and install its provider plugin."""
        if not self.cloud.is_running:
            with spinner("Starting the cloud on this machine"), self.cloud.starting():
                meanwhile()
        self.cloud.install_plugin(self.paths.pulumi_home)

    def _write_files(self) -> None:
        """Make the secrets once; copy the settings each time."""
        import yaml

        from cli.init import settings_file
        from cli.pipelines.settings_file import as_settings

        paths = self.paths
        source = CHECKOUT / f"Pulumi.{LOCAL}.yaml"
        settings_file.read(source)  # refuses a malformed one
        config = (yaml.safe_load(source.read_text()) or {}).get("config") or {}
        own = as_settings(paths.pipelines) if self.has_pipelines else {}
        for folder in (paths.root, paths.state, paths.project, paths.pulumi_home):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not paths.passphrase.exists():
            private_file.write(paths.passphrase, secrets.token_urlsafe(24))
        if not paths.ssh_key.exists():
            _make_ssh_key(paths)
        shutil.copyfile(CHECKOUT / "Pulumi.yaml", paths.project / "Pulumi.yaml")
        copy = paths.project / f"Pulumi.{LOCAL}.yaml"
        # The engine has written its salt and secret settings into an earlier copy.
        content = yaml.safe_load(copy.read_text()) if copy.exists() else {}
        kept = {
            key: value
            for key, value in (content.get("config") or {}).items()
            if isinstance(value, dict) and value.keys() == {"secure"}
        }
        own["sshPublicKeyFile"] = f"{paths.ssh_key}.pub"
        content["config"] = {**config, **kept, **{f"{PROJECT}:{key}": own[key] for key in own}}
        copy.write_text(yaml.safe_dump(content))


def _make_ssh_key(paths: LocalPaths) -> None:
    """Make the stack's own key pair, so that a newcomer needs none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    Path(f"{paths.ssh_key}.pub").write_bytes(public + b" pipeline-local\n")
    private_file.write(paths.ssh_key, private)
