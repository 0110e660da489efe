"""One running OpenStack, and what a test may ask of it."""

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local import processes
from tests.openstack.services import (
    configuration,
    daemons,
    databases,
    entries,
    installation,
    rabbit,
    snapshot,
)
from tests.openstack.services.daemons import Daemon
from tests.openstack.services.layout import Layout
from tests.openstack.services.probing import until

if TYPE_CHECKING:
    from openstack.connection import Connection


@dataclass(frozen=True)
class OpenStack:
    """Both clouds; everything of them lies below `layout.root`."""

    layout: Layout

    @property
    def auth_url(self) -> str:
        """Keystone of `pouta`."""
        return self.layout.auth_url

    @property
    def database_auth_url(self) -> str:
        """Keystone of `pukki`."""
        return self.layout.database_auth_url

    @property
    def clouds_yaml(self) -> Path:
        """A customer's, with the entries `pouta` and `pukki` (0600)."""
        return self.layout.clouds_yaml

    def customer(self, entry: str = entries.COMPUTE) -> "Connection":
        """A connection as the user `demo` of the project `demo`."""
        return entries.connect(self.layout.clouds_yaml, entry)

    def admin(self, entry: str = entries.COMPUTE) -> "Connection":
        """A connection with all rights."""
        return entries.admin(self.layout, entry)

    def names(self) -> list[str]:
        """What `stop` and `start` take."""
        return [daemon.name for daemon in self._daemons()]

    def stop(self, name: str) -> None:
        """Kill one service; its state stays."""
        processes.kill(self.layout.root, self._daemon(name).name)

    def start(self, name: str) -> None:
        """Start one service again and wait until it serves."""
        daemon = self._daemon(name)
        daemons.start(self.layout, daemon)
        daemons.await_answer(self.layout, daemon)
        if not daemon.url:
            daemons.await_queues(self.layout)

    def _daemons(self) -> list[Daemon]:
        layout = self.layout
        return [*daemons.identities(layout), *daemons.apis(layout), *daemons.workers(layout)]

    def _daemon(self, name: str) -> Daemon:
        return next(daemon for daemon in self._daemons() if daemon.name == name)


def prepared() -> bool:
    """Whether `prepare` has nothing to do."""
    return (installation.folder() / "complete").exists() and snapshot.path(
        installation.folder()
    ).exists()


def prepare() -> Path:
    """Environment and seeded databases, made when they are not yet; returns the environment."""
    environment = installation.environment()
    with installation.alone():
        snapshot.make(environment)
    return environment


def up(folder: Path) -> OpenStack:
    """The OpenStack of `folder`, started where it does not run."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout = Layout(folder, prepare())
    if not layout.state.exists():
        snapshot.unpack(layout)
    for each in (layout.etc, layout.run, layout.run / "guests"):
        each.mkdir(exist_ok=True, mode=0o700)
    configuration.write(layout)
    entries.write(layout)
    if not processes.is_running(folder, rabbit.NAME):
        rabbit.start(layout)
    if not processes.is_running(folder, databases.NAME):
        databases.start(layout)
        snapshot.correct_addresses(layout)
    _serve(layout)
    return OpenStack(layout)


def down(folder: Path) -> None:
    """End it and remove the folder; fine when there is none."""
    processes.end(folder.absolute(), signal.SIGKILL)  # nothing of it is kept
    shutil.rmtree(folder, ignore_errors=True)


def _serve(layout: Layout) -> None:
    first = [*daemons.identities(layout), *daemons.apis(layout)]
    for daemon in first:
        daemons.start(layout, daemon)
    for daemon in first:  # the hypervisor tells Placement once, at its start, what it has
        daemons.await_answer(layout, daemon)
    later = daemons.workers(layout)
    for daemon in later:
        daemons.start(layout, daemon)
    for daemon in later:
        daemons.await_answer(layout, daemon)
    daemons.await_queues(layout)
    until(layout, "nova-scheduler", lambda: bool(databases.execute(layout, "hosts.sql")))
