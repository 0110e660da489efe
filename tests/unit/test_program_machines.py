"""What `machines` changes in what the program asks of the engine."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.connection import connect
from clients.errors import CloudError
from infra.user_data.document import NOVA_LIMIT
from local.api.networks import ROUTER_ADDRESS
from local.cloud import LocalCloud
from tests.unit.conftest import use_cloud
from tests.unit.program import FIXED_IP, FLOATING_IP, Run, run_program, written
from tests.unit.stack_settings import stack_settings
from worker import settings as worker_settings

OTHERS = ("vm-2", "vm-3")
SETTINGS: dict[str, Any] = {
    "upload": {"cidrs": ["192.0.2.0/24"]},
    "mqtt": {"cidrs": ["198.51.100.0/24"], "cameras": {"door": {"pipeline": "negatives"}}},
    "databaseCidrs": ["198.51.100.0/24"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("program")


@pytest.fixture(scope="module", autouse=True)
def cloud(local_cloud: LocalCloud) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        use_cloud(environment, local_cloud)
        yield


@pytest.fixture(scope="module")
def one(folder: Path) -> Run:
    return run_program(stack_settings(folder, **SETTINGS))


@pytest.fixture(scope="module")
def three(folder: Path) -> Run:
    return run_program(stack_settings(folder, machines=3, **SETTINGS))


def asked_for(run: Run) -> dict[str, dict[str, Any]]:
    return {asked.name: asked.inputs for asked in run.resources if asked.request.custom}


def worker_toml(run: Run, machine: str) -> dict[str, Any]:
    return tomllib.loads(written(run, machine)["/etc/pipeline/worker.toml"])


def test_further_machines_change_the_ranges_of_the_database_only(one: Run, three: Run) -> None:
    before, after = asked_for(one), asked_for(three)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"database-instance", "database-ready"}
    added = {"machines", "ssh-from-first", "port-2", "port-3", "vm-2", "vm-3"}
    assert after.keys() - before.keys() == added
    assert three.outputs["floatingIp"] == FLOATING_IP


def test_the_database_admits_the_router_of_further_machines(one: Run, three: Run) -> None:
    for name in ("database-instance", "database-ready"):
        wanted = [f"{FLOATING_IP}/32", f"{ROUTER_ADDRESS}/32", "198.51.100.0/24"]
        assert asked_for(three)[name]["allowed_cidrs"] == wanted
        assert f"{ROUTER_ADDRESS}/32" not in asked_for(one)[name]["allowed_cidrs"]


def test_only_the_first_machine_reaches_further_ones(three: Run) -> None:
    rules = [asked.inputs for asked in three.of("SecGroupRule")]
    (rule,) = [rule for rule in rules if rule["securityGroupId"] == "machines-id"]
    assert (rule["direction"], rule["protocol"]) == ("ingress", "tcp")
    assert (rule["portRangeMin"], rule["portRangeMax"]) == (22, 22)
    assert rule["remoteGroupId"] == "operators-id"
    assert "remoteIpPrefix" not in rule
    assert three.named("port").inputs["securityGroupIds"] == ["operators-id"]
    for name in ("port-2", "port-3"):
        assert three.named(name).inputs["securityGroupIds"] == ["machines-id"]
    assert three.one("FloatingIpAssociate").inputs["portId"] == "port-id"


def test_names(three: Run) -> None:
    names = ["image-pipeline-unit-vm", "image-pipeline-unit-vm-2", "image-pipeline-unit-vm-3"]
    assert three.outputs["machineNames"] == names
    assert three.outputs["routerAddresses"] == [ROUTER_ADDRESS]
    assert three.outputs["machineAddresses"] == [FLOATING_IP, FIXED_IP, FIXED_IP]
    machines = ["vm", *OTHERS]
    assert [three.named(machine).inputs["name"] for machine in machines] == names
    assert [worker_toml(three, machine)["machine"] for machine in machines] == names
    assert three.named("port-3").inputs["name"] == "image-pipeline-unit-port-3"


@pytest.mark.parametrize("machine", OTHERS)
def test_further_machines_do_the_same_work(three: Run, machine: str, tmp_path: Path) -> None:
    first, other = worker_toml(three, "vm"), worker_toml(three, machine)
    for name in ("stack", "grace_seconds", "store", "database", "package", "pipelines"):
        assert other[name] == first[name]
    path = tmp_path / "worker.toml"
    path.write_text(written(three, machine)["/etc/pipeline/worker.toml"], encoding="utf-8")
    assert not worker_settings.load(path, {}, ()).web.enabled


@pytest.mark.parametrize("machine", OTHERS)
def test_ways_in_are_on_the_first_machine_only(three: Run, machine: str) -> None:
    first, other = written(three, "vm"), written(three, machine)
    interfaces = {"interface-certificate", "interface-authority", "camera-door"}
    assert first.keys() - other.keys() == {
        f"/etc/pipeline/credentials/{name}" for name in interfaces
    }
    assert "cameras" not in worker_toml(three, machine)
    assert worker_toml(three, machine)["web"]["exposed"] is False
    assert "unit-server-certificate" not in json.dumps(other)


@pytest.mark.parametrize("machine", OTHERS)
def test_further_machines_are_guarded_as_the_first(three: Run, machine: str) -> None:
    first, other = three.named("vm"), three.named(machine)
    # Destroy removes it before its buckets are emptied; it waits for no other machine.
    assert set(other.request.dependencies) == {
        urn.replace("::port", machine.replace("vm", "::port")) for urn in first.request.dependencies
    }
    assert "userData" in other.secret
    for option in ("deleteBeforeReplace", "ignoreChanges", "additionalSecretOutputs"):
        assert getattr(other.request, option) == getattr(first.request, option)
    assert other.inputs["stopBeforeDestroy"] is True


def test_user_data_is_the_same_for_any_number_of_machines(one: Run, three: Run) -> None:
    assert three.named("vm").inputs["userData"] == one.named("vm").inputs["userData"]
    assert all(len(vm.inputs["userData"]) < NOVA_LIMIT for vm in three.of("Instance"))


def test_further_machines_need_a_router(folder: Path) -> None:
    neutron = connect("local").network
    network = neutron.create_network(name="without-router")
    settings = stack_settings(folder, machines=2, network=network.id)
    try:
        with pytest.raises(CloudError, match=r"machines is 2, but only the first .* gateway"):
            run_program(settings)
    finally:
        neutron.delete_network(network)
