"""The cloud on this machine, in one folder."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from local import files, object_store, plugin, postgres, processes
from local.api import identity
from local.api.cloud import REGION
from local.api.http import HOST
from local.errors import LocalCloudError
from local.layout import DATABASES, MACHINES, STORE
from local.machine import kinds, machine
from local.machine.kinds import Kind
from local.machine.machine import Machine

NAME = "local"
"""Its entry in clouds.yaml; the plugin refuses any other."""
DAEMON = "daemon"
START_SECONDS = 60


class LocalCloud:
    """Everything it starts outlives the caller, until `stop`."""

    def __init__(self, folder: Path, machines: Kind | None = None) -> None:
        """`machines`: what VMs are here, by default what the folder has, else processes."""
        self.folder = folder.absolute()
        self._kind = machines

    @property
    def clouds_yaml(self) -> Path:
        """What OS_CLIENT_CONFIG_FILE is to name; holds a password, so 0600."""
        return self.folder / "clouds.yaml"

    @property
    def running(self) -> bool:
        """Whether its API and its object store answer (the rest runs with them)."""
        api = processes.running(self.folder, DAEMON) and (self.folder / "daemon.port").exists()
        return api and processes.running(self.folder / STORE, object_store.NAME)

    def start(self) -> None:
        """Start what does not run: API, object store, databases and machines it had."""
        with self._alone(make=True):
            if self.running:
                return
            if self._kind:
                kinds.keep(self.folder, self._kind)
            processes.kill(self.folder, DAEMON)  # it would not know a new object store's address
            port_file = self.folder / "daemon.port"
            port_file.unlink(missing_ok=True)
            processes.start_module(self.folder, DAEMON, "local.daemon", [str(self.folder)])
            port = processes.await_file(self.folder, DAEMON, port_file, START_SECONDS)
            if port is None:
                raise LocalCloudError(
                    f"The local cloud did not start: see {self.folder / 'daemon.log'}."
                )
            self._write_clouds_yaml(port)

    def stop(self) -> None:
        """End every process of it and of its resources, and remove the folder."""
        with self._alone(make=False) as there:
            if not there:
                return
            processes.end(self.folder)  # first the daemon, which could start more
            for folder in self._folders(DATABASES):
                postgres.stop(folder)
            for folder in self._folders(MACHINES):
                kinds.stop(folder)
            object_store.stop(self.folder / STORE)
            shutil.rmtree(self.folder, ignore_errors=True)

    def install_plugin(self, pulumi_home: Path) -> None:
        """Let the engine with this PULUMI_HOME use this cloud as the provider `openstack`."""
        plugin.install(pulumi_home)

    def machines(self) -> list[Machine]:
        """The machines that run."""
        return [kinds.load(folder) for folder in self._folders(MACHINES) if machine.running(folder)]

    def _folders(self, kind: str) -> list[Path]:
        parent = self.folder / kind
        return sorted(parent.iterdir()) if parent.exists() else []

    @contextlib.contextmanager
    def _alone(self, *, make: bool) -> Iterator[bool]:
        """Keep a second start or stop of the folder waiting; a kill lets go. False: no folder."""
        while True:
            if make:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                descriptor = os.open(self.folder, os.O_RDONLY)
            except FileNotFoundError:
                yield False
                return
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Who held it may have removed the folder.
                if self.folder.exists() and os.path.samestat(
                    os.fstat(descriptor), self.folder.stat()
                ):
                    yield True
                    return
            finally:
                os.close(descriptor)

    def _write_clouds_yaml(self, port: str) -> None:
        me = identity.load(self.folder)
        entry = {
            "auth": {
                "auth_url": f"http://{HOST}:{port}/identity/v3",
                "username": me.user_name,
                "password": me.password,
                "project_name": me.project_name,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": REGION,
            "interface": "public",
            "identity_api_version": 3,
        }
        text = json.dumps({"clouds": {NAME: entry}}, indent=2)  # JSON is YAML
        files.write(self.clouds_yaml, text)
