"""The cloud on this machine, in one folder."""

import contextlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from local import file_lock, object_store, private_file, processes
from local.api.state import DATABASES, MACHINES, REGION, STORE
from local.errors import LocalCloudError
from local.machine import kinds, machine, vendor_data
from local.machine.kinds import MachineKind
from local.machine.machine import LocalMachine
from local.plugin import launcher

NAME = "local"
"""Its entry in clouds.yaml; the plugin refuses any other."""
DAEMON = "daemon"
START_SECONDS = 60


class LocalCloud:
    """A cloud whose servers outlive the process that starts them, until `stop`."""

    def __init__(self, folder: Path, machines: MachineKind | None = None) -> None:
        """Name a cloud, which need not exist.

        Args:
            folder: the cloud's folder.
            machines: the kind of its VMs; by default the one saved in the folder, else processes.
        """
        self.folder = folder.absolute()
        self._kind = machines

    @property
    def clouds_yaml(self) -> Path:
        """The file for OS_CLIENT_CONFIG_FILE; it holds a password and has mode 0600."""
        return self.folder / "clouds.yaml"

    @property
    def host(self) -> str:
        """The address by which its machines reach servers on this computer's loopback."""
        kind = self._kind or kinds.saved(self.folder)
        return "127.0.0.1" if kind.name == kinds.PROCESS else vendor_data.HOST

    @property
    def is_running(self) -> bool:
        """Whether its API and its object store are up (the rest is up when they are)."""
        # clouds.yaml is written last.
        api = processes.is_running(self.folder, DAEMON) and self.clouds_yaml.exists()
        return api and processes.is_running(self.folder / STORE, object_store.NAME)

    def start(self) -> None:
        """Start what does not run: API, object store, and the databases and machines it had.

        Raises:
            LocalCloudError: the API did not start.
        """  # noqa: DOC502  raised by what it calls
        with self.starting():
            pass

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Start what does not run while the context lasts; all is up when it has ended.

        Raises:
            LocalCloudError: the API did not start.
        """
        with self._locked(create=True):
            if self.is_running:
                yield
                return
            if self._kind:
                kinds.save(self.folder, self._kind)
            processes.kill(self.folder, DAEMON)  # it would not know a new object store's address
            port_file = self.folder / "daemon.port"
            for file in (port_file, self.clouds_yaml):
                file.unlink(missing_ok=True)
            object_store.launch(self.folder / STORE)  # beside the daemon, which waits for it
            processes.start_module(self.folder, DAEMON, "local.daemon", [str(self.folder)])
            yield
            port = processes.await_file(self.folder, DAEMON, port_file, START_SECONDS)
            if port is None:
                raise LocalCloudError(
                    f"The local cloud did not start: see {self.folder / 'daemon.log'}."
                )
            self._write_clouds_yaml(port)

    def stop(self) -> None:
        """End every process of the cloud and of its resources, and remove the folder."""
        from local import postgres  # noqa: PLC0415  psycopg would slow down `log` and `status`

        with self._locked(create=False) as exists:
            if not exists:
                return
            # First the daemon, which could start more; its folder goes, so nothing is to be saved.
            processes.end(self.folder, first=signal.SIGKILL)
            for folder in self._folders(DATABASES):
                postgres.stop(folder)
            for folder in self._folders(MACHINES):
                kinds.stop(folder)
            object_store.stop(self.folder / STORE)
            shutil.rmtree(self.folder, ignore_errors=True)

    def install_plugin(self, pulumi_home: Path) -> None:
        """Make this cloud the provider `openstack` of the engine with this PULUMI_HOME."""
        launcher.install(pulumi_home)

    def machines(self) -> list[LocalMachine]:
        """Return the machines that are up, in the order of their numbers: vm, vm-2, …, vm-10."""
        folders = self._folders(MACHINES)
        found = [kinds.load(folder) for folder in folders if machine.is_running(folder)]
        return sorted(found, key=lambda each: (len(each.name), each.name))

    def _folders(self, name: str) -> list[Path]:
        parent = self.folder / name
        return sorted(each for each in parent.glob("*") if each.is_dir())

    @contextlib.contextmanager
    def _locked(self, *, create: bool) -> Iterator[bool]:
        """Hold the folder's lock; yields whether there is a folder."""
        with contextlib.ExitStack() as lock:
            exists = False
            while not exists and (create or self.folder.exists()):
                if create:
                    self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                with contextlib.suppress(FileNotFoundError):  # its holder removed it: try again
                    lock.enter_context(file_lock.hold(self.folder))
                    exists = True
            yield exists

    def _write_clouds_yaml(self, port: str) -> None:
        from local.api import identity  # noqa: PLC0415  http.server would slow down `log` too
        from local.api.http import HOST  # noqa: PLC0415

        user = identity.load(self.folder)
        entry = {
            "auth": {
                "auth_url": f"http://{HOST}:{port}/identity/v3",
                "username": user.user_name,
                "password": user.password,
                "project_name": user.project_name,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": REGION,
            "interface": "public",
            "identity_api_version": 3,
        }
        text = json.dumps({"clouds": {NAME: entry}}, indent=2)  # JSON is YAML
        private_file.write(self.clouds_yaml, text)
