"""The local cloud as a whole: it survives kills, and `stop` leaves nothing of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import psutil
import pytest
from openstack.config import OpenStackConfig

from local import processes
from local.api.state import DATABASES, STORE
from local.cloud import DAEMON, LocalCloud
from local.machine import kinds
from local.machine.kinds import MachineKind
from tests.eventually import eventually
from tests.running import is_alive

START = "import sys; from pathlib import Path; from local.cloud import LocalCloud; "
START += "LocalCloud(Path(sys.argv[1])).start()"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path / "a cloud")
    yield cloud
    cloud.stop()


def trove(cloud: LocalCloud) -> Any:
    config = OpenStackConfig(config_files=[str(cloud.clouds_yaml)], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one("local")).database


def processes_of(folder: Path) -> set[psutil.Process]:
    """Return the running processes that name the folder or carry a marker of it."""
    tokens = {path.read_text("utf-8") for path in folder.rglob("marker")}
    found = set()
    for process in psutil.process_iter():
        try:
            named = any(str(folder) in part for part in process.cmdline())
            if named or process.environ().get(processes.VARIABLE) in tokens:
                found.add(process)
        except psutil.Error:
            continue
    return {one for one in found if one.pid != os.getpid()}


def create_database(api: Any) -> str:
    flavor = api.get("/flavors").json()["flavors"][0]["str_id"]
    body = {"name": "db", "flavorRef": flavor, "volume": {"size": 1}}
    return str(api.post("/instances", json={"instance": body}).json()["instance"]["id"])


def await_healthy(api: Any, identifier: str) -> None:
    one = f"/instances/{identifier}"
    eventually(lambda: api.get(one).json()["instance"]["operating_status"] == "HEALTHY")


def check_gone(cloud: LocalCloud, found: set[psutil.Process], homes: list[Path]) -> None:
    assert not any(map(is_alive, found))
    assert not cloud.folder.exists()
    assert not [home for home in homes if home.exists()]


def homes(cloud: LocalCloud) -> list[Path]:
    return [Path(path.read_text("utf-8")) for path in cloud.folder.rglob("home") if path.is_file()]


def test_start_is_idempotent_and_its_secrets_are_private(cloud: LocalCloud) -> None:
    assert not cloud.is_running
    cloud.start()
    before = processes_of(cloud.folder)
    assert cloud.is_running
    cloud.start()
    assert processes_of(cloud.folder) == before
    assert cloud.clouds_yaml.stat().st_mode & 0o777 == 0o600
    assert cloud.folder.stat().st_mode & 0o777 == 0o700
    assert cloud.machines() == []


def test_stop_without_start_does_nothing(cloud: LocalCloud) -> None:
    cloud.stop()
    assert not cloud.folder.exists()


def test_killed_daemon_restarts_with_its_address_and_databases(cloud: LocalCloud) -> None:
    cloud.start()
    api = trove(cloud)
    identifier = create_database(api)
    await_healthy(api, identifier)
    before = api.get(f"/instances/{identifier}").json()["instance"]
    address = api.get_endpoint()
    processes.kill(cloud.folder, DAEMON)
    assert not cloud.is_running
    cloud.start()
    assert trove(cloud).get_endpoint() == address
    await_healthy(api, identifier)
    after = api.get(f"/instances/{identifier}").json()["instance"]
    assert {**after, "updated": ""} == {**before, "updated": ""}


def test_interrupted_build_is_finished_after_the_next_start(
    cloud: LocalCloud,
) -> None:
    cloud.start()
    identifier = create_database(trove(cloud))
    processes.kill(cloud.folder, DAEMON)
    cloud.start()
    await_healthy(trove(cloud), identifier)


def test_killed_object_store_restarts_at_its_address(cloud: LocalCloud) -> None:
    cloud.start()
    address = (cloud.folder / STORE / "object-store.json").read_text("utf-8")
    processes.kill(cloud.folder / STORE, "object-store")
    cloud.start()
    assert (cloud.folder / STORE / "object-store.json").read_text("utf-8") == address
    assert cloud.is_running


def test_stop_leaves_nothing_even_after_everything_was_killed(
    cloud: LocalCloud,
) -> None:
    cloud.start()
    api = trove(cloud)
    await_healthy(api, create_database(api))
    create_database(api)  # and one in the middle of being built
    found, places = processes_of(cloud.folder), homes(cloud)
    processes.kill(cloud.folder, DAEMON)
    processes.end(cloud.folder / STORE, first=signal.SIGKILL)
    found |= processes_of(cloud.folder)
    places += homes(cloud)
    assert (cloud.folder / DATABASES).exists()
    LocalCloud(cloud.folder).stop()
    check_gone(cloud, found, places)


@pytest.mark.parametrize("seconds", [0.1, 0.25, 0.5])
def test_stop_leaves_nothing_of_a_killed_start(cloud: LocalCloud, seconds: float) -> None:
    environment = {**os.environ, "PYTHONPATH": str(processes.CHECKOUT)}
    command = [sys.executable, "-c", START, str(cloud.folder)]
    with subprocess.Popen(command, env=environment) as starter:
        time.sleep(seconds)  # somewhere on the way, wherever that is on this machine
        starter.kill()
    found = processes_of(cloud.folder)
    cloud.stop()
    check_gone(cloud, found, [])


def test_machine_kind_is_saved_as_given(tmp_path: Path) -> None:
    """A second `./pipeline up --machine process` was refused as another kind."""
    cloud = LocalCloud(tmp_path / "cloud", MachineKind(kinds.PROCESS))
    try:
        cloud.start()
        assert kinds.saved(cloud.folder) == MachineKind(kinds.PROCESS)
    finally:
        cloud.stop()
