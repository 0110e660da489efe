"""The bring-up itself: what a customer finds in both clouds, and that nothing outlives a run."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local import processes
from tests.checkout import PROJECT
from tests.eventually import eventually
from tests.openstack.services import leftovers
from tests.openstack.services.stack import OpenStack


def test_a_machine_comes_up_with_a_floating_ip(cloud: OpenStack) -> None:
    """Nova, Neutron, Glance and Placement play together, the hypervisor being a fake one."""
    with cloud.customer() as pouta:
        image = pouta.image.find_image("Ubuntu-24.04", ignore_missing=False)
        flavor = pouta.compute.find_flavor("standard.tiny", ignore_missing=False)
        network = pouta.network.find_network("demo", ignore_missing=False)
        external = pouta.network.find_network("public", ignore_missing=False)
        port = pouta.network.create_port(network_id=network.id)
        address = pouta.network.create_ip(floating_network_id=external.id, port_id=port.id)
        server = pouta.compute.create_server(
            name="vm", image_id=image.id, flavor_id=flavor.id, networks=[{"port": port.id}]
        )
        server = pouta.compute.wait_for_server(server, wait=300)
        assert server.status == "ACTIVE"
        assert pouta.network.get_ip(address.id).status == "ACTIVE"
        pouta.compute.delete_server(server)
        pouta.compute.wait_for_delete(server, wait=300)
        pouta.network.delete_ip(address)
        pouta.network.delete_port(port)


OWNER = """
import sys, time
from pathlib import Path
from local import processes
from tests.openstack.services import guardian
folder = Path(sys.argv[1])
with guardian.watching(folder):
    print(processes.start(folder, "server", ["sleep", "1000"]), flush=True)
    time.sleep(1000)
"""


def test_nothing_outlives_a_killed_run(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, cwd=PROJECT
    )
    assert owner.stdout
    server = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.communicate()
    eventually(lambda: not server.is_running() and not tmp_path.exists())


def test_what_a_killed_guardian_left_is_ended_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, owned = (tmp_path / f"{leftovers.PREFIX}{name}" for name in ("left", "owned"))
    for folder in (left, owned):
        folder.mkdir()
        (folder / leftovers.LOCK).touch()
    server = psutil.Process(processes.start(left, "server", ["sleep", "1000"]))
    with leftovers.owned(owned):
        leftovers.remove()
    processes.reap()
    assert not server.is_running()
    assert not left.exists()
    assert owned.exists()
