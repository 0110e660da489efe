"""The real program through Pulumi's real provider, on real OpenStack and real Ceph.

Skipped where the provider is not available; `test_program_*.py` are not.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.machine.process.machine import ProcessMachine
from tests import scaling
from tests.eventually import eventually
from tests.openstack import admitted, worker_machine
from tests.openstack.customer import INIT, NETWORK, Customer
from tests.openstack.provider import missing

STACK = ("--stack", "lab")
#: Pipeline -> the key of what it makes of cat.jpg.
RESULTS = {"negatives": "negated_cat.jpg", "thumbs": "cat.jpg", "inverted": "negated_cat.jpg"}
LOCALLY = ("--set", "databaseSslMode=disable", "--set", "timerInterval=1s")


@pytest.fixture(scope="module", autouse=True)
def stack(
    pulumi: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Settings as `init` writes them; skipped before anything is started for it."""
    home = tmp_path_factory.mktemp("pulumi")
    if sentence := missing(pulumi, home):
        pytest.skip(sentence)
    operator: Customer = request.getfixturevalue("operator")
    operator.checkout.environment["PULUMI_HOME"] = str(home)
    operator.checkout.pipeline("init", "lab", *INIT, *LOCALLY)
    operator.define("lab", "thumbs", transform="thumbnail")
    operator.define("lab", "inverted", transform="negate", **{"from": "thumbs"})
    yield
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def resource_ids(operator: Customer) -> dict[str, str]:
    """What must not change: ids of resources and outputs."""
    with operator.pouta() as pouta, operator.pukki() as pukki:
        [vm] = pouta.compute.servers()
        [address] = pouta.network.ips()
        [instance] = pukki.database.get("/instances").json()["instances"]
        return {
            "machine": vm.id,
            "floating IP": address.floating_ip_address,
            "database": instance["id"],
        }


def no_change(operator: Customer) -> bool:
    """Whether the program asks for nothing that is not there."""
    return "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_up_interrupted_by_a_keystone_outage_is_completed_by_the_next(operator: Customer) -> None:
    process = operator.checkout.start("up", *STACK)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "created  SecGroup operators" in line:
            operator.cloud.stop("keystone")
    process.stdout.close()
    printed = "".join(lines)
    try:
        assert process.wait() == 1, printed
        assert "Traceback" not in printed
        problems = printed.partition("pipeline: ")[2].strip().splitlines()
        assert problems, printed
        assert all("again" in problem or "does not answer" in problem for problem in problems), (
            printed
        )
    finally:
        operator.cloud.start("keystone")
    operator.checkout.pipeline("up", *STACK)
    # The provider stores no id of a resource whose creation Neutron could not confirm.
    operator.checkout.pipeline("strays", "--remove", "--yes", *STACK)
    assert no_change(operator)


def test_strangers_reach_neither_machine_nor_database(operator: Customer) -> None:
    there = resource_ids(operator)
    ssh = admitted.to_machine(operator.cloud, there["machine"])
    assert ssh == {("tcp", 22, 22, "127.0.0.1/32")}
    postgres = admitted.to_database(operator.cloud, there["database"])
    assert postgres == {("tcp", 5432, 5432, f"{there['floating IP']}/32")}


def test_photo_is_processed(operator: Customer) -> None:
    """Container by Swift, keys by Keystone, put over S3, transformed, recorded.

    The results of `thumbs` are copied to the bucket of `inverted`, and negated there.
    """
    outputs = operator.checkout.json("outputs", "--show-secrets", *STACK)
    for pipeline in ("negatives", "thumbs"):
        operator.checkout.pipeline("put", "samples/cat.jpg", "--pipeline", pipeline, *STACK)
    with worker_machine.running(operator.base / "beside", user_data(operator), outputs) as host:
        eventually(lambda: len(done(host)) == 3, 180, every=0.5)
        assert done(host) == {pipeline: [key] for pipeline, key in RESULTS.items()}
    for pipeline, key in RESULTS.items():
        found = results(operator, pipeline)
        assert list(found) == [key]
        assert found[key][:2] == b"\xff\xd8"


def done(host: ProcessMachine) -> dict[str, list[str]]:
    """Pipeline -> its results, as the worker has recorded them."""
    printed = host.run_worker(["jobs", "list", "--state", "done", "--json"]).stdout
    rows = [json.loads(line) for line in printed.splitlines()]
    return {row["pipeline"]: row["results"] for row in rows}


def results(operator: Customer, pipeline: str) -> dict[str, bytes]:
    """Key -> content of a pipeline's results, read over Swift."""
    outputs = operator.checkout.json("outputs", *STACK)
    bucket = outputs["pipelines"][pipeline]["outputBucket"]
    with operator.pouta() as pouta:
        store: Any = pouta.object_store
        return {
            each.name: store.download_object(each.name, bucket) for each in store.objects(bucket)
        }


def user_data(operator: Customer) -> str:
    """What Nova hands to the machine."""
    with operator.cloud.admin() as admin:
        path = f"/servers/{resource_ids(operator)['machine']}"
        server: Any = admin.compute.get(path, microversion="2.3").json()["server"]
        return str(server["OS-EXT-SRV-ATTR:user_data"])


def test_changed_user_data_replaces_only_the_machine(operator: Customer) -> None:
    before = resource_ids(operator)
    operator.change("lab", timerInterval="7s")
    operator.checkout.pipeline("up", *STACK)
    after = resource_ids(operator)
    assert after.pop("machine") != before.pop("machine")
    assert after == before
    for pipeline, key in RESULTS.items():
        assert key in results(operator, pipeline)
    assert no_change(operator)


def test_three_machines_then_one_then_two(operator: Customer) -> None:
    before = resource_ids(operator)
    with operator.pouta() as pouta:
        [router] = pouta.network.routers()
        router_address = router.external_gateway_info["external_fixed_ips"][0]["ip_address"]
    alone = {("tcp", 5432, 5432, f"{before['floating IP']}/32")}
    together = {*alone, ("tcp", 5432, 5432, f"{router_address}/32")}

    steps = scaling.scale(operator, 3)
    added = scaling.of_machines(2, 3) | scaling.SHARED
    assert set(steps) == scaling.DATABASE | scaling.changes("created", added)
    scaling.assert_order(steps, "updated TroveReady", "created Instance")
    assert admitted.to_database(operator.cloud, before["database"]) == together
    with operator.pouta() as pouta:
        servers = {server.name: server.id for server in pouta.compute.servers()}
    ssh = admitted.to_machine(operator.cloud, servers["image-pipeline-lab-vm-3"])
    assert ssh == {("tcp", 22, 22, "image-pipeline-lab-operators")}
    assert no_change(operator)

    steps = scaling.scale(operator, 1)
    assert set(steps) == scaling.DATABASE | scaling.changes("deleted", added)
    assert resource_ids(operator) == before
    assert admitted.to_database(operator.cloud, before["database"]) == alone

    steps = scaling.scale(operator, 2)
    added = scaling.of_machines(2) | scaling.SHARED
    assert set(steps) == scaling.DATABASE | scaling.changes("created", added)
    assert admitted.to_database(operator.cloud, before["database"]) == together
    scaling.scale(operator, 1)
    assert resource_ids(operator) == before


def test_ways_in_are_open_to_their_ranges_only(operator: Customer) -> None:
    before = resource_ids(operator)
    upload = {"cidrs": ["192.0.2.0/24"], "domain": "upload.example.org"}
    cameras = {"door": {"pipeline": "negatives"}}
    operator.change("lab", upload=upload, mqtt={"cidrs": ["198.51.100.0/24"], "cameras": cameras})
    operator.checkout.pipeline("up", *STACK)
    assert admitted.to_machine(operator.cloud, resource_ids(operator)["machine"]) == {
        ("tcp", 22, 22, "127.0.0.1/32"),
        ("tcp", 443, 443, "192.0.2.0/24"),
        ("tcp", 80, 80, "0.0.0.0/0"),
        ("tcp", 8883, 8883, "198.51.100.0/24"),
    }
    assert no_change(operator)
    operator.change("lab", upload=None, mqtt=None)
    operator.checkout.pipeline("up", *STACK)
    after = resource_ids(operator)
    ssh = admitted.to_machine(operator.cloud, after["machine"])
    assert ssh == {("tcp", 22, 22, "127.0.0.1/32")}
    assert {name: after[name] for name in after if name != "machine"} == {
        name: before[name] for name in before if name != "machine"
    }


def test_replaced_image_does_not_replace_the_machine(operator: Customer) -> None:
    before = resource_ids(operator)
    with operator.cloud.admin() as admin:
        old = admin.image.find_image("Ubuntu-24.04", ignore_missing=False)
        admin.image.delete_image(old.id)
        admin.image.create_image(
            name="Ubuntu-24.04",
            disk_format="raw",
            container_format="bare",
            visibility="public",
            data=bytes(1024),
        )
    operator.checkout.pipeline("refresh", *STACK)
    assert no_change(operator)
    assert resource_ids(operator) == before


def test_deleted_key_pair_is_created_again(operator: Customer) -> None:
    before = resource_ids(operator)
    with operator.pouta() as pouta:
        [pair] = pouta.compute.keypairs()
        pouta.compute.delete_keypair(pair.name)
        operator.checkout.pipeline("refresh", *STACK)
        operator.checkout.pipeline("up", *STACK)
        assert [each.fingerprint for each in pouta.compute.keypairs()] == [pair.fingerprint]
    assert resource_ids(operator) == before
    assert no_change(operator)


def test_quota_exceeded_midway(operator: Customer) -> None:
    """The floating IP is lost and none is left: reported, and repaired once there is one again."""
    before = resource_ids(operator)
    with operator.pouta() as pouta:
        [address] = pouta.network.ips()
        pouta.network.delete_ip(address)
    operator.checkout.pipeline("refresh", *STACK)
    operator.quota(floating_ips=0)
    printed = operator.checkout.pipeline("up", *STACK, code=1).stderr
    assert "answered 409: Quota exceeded for resources: ['floatingip']." in printed
    assert "remove something there or ask its support for more" in printed
    assert printed.count("Quota exceeded") == 1
    operator.quota(floating_ips=2)
    operator.checkout.pipeline("up", *STACK)
    after = resource_ids(operator)
    assert after["database"] == before["database"]
    new = after["floating IP"]
    rules = admitted.to_database(operator.cloud, after["database"])
    assert rules == {("tcp", 5432, 5432, f"{new}/32")}
    assert no_change(operator)


def test_security_group_in_use_is_reported_before_anything_is_deleted(operator: Customer) -> None:
    before = resource_ids(operator)
    with operator.pouta() as pouta:
        network = pouta.network.find_network(NETWORK, ignore_missing=False)
        group = pouta.network.find_security_group(
            "image-pipeline-lab-operators", ignore_missing=False
        )
        port = pouta.network.create_port(
            network_id=network.id, name="guest", security_groups=[group.id]
        )
        printed = operator.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=1).stderr
        assert "Port guest, which is not this stack's, uses its security group" in printed
        assert resource_ids(operator) == before
        pouta.network.delete_port(port)


def test_destroy_leaves_nothing(operator: Customer) -> None:
    assert "protectData" in operator.checkout.pipeline("destroy", *STACK, code=1).stderr
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    with operator.pouta() as pouta, operator.pukki() as pukki:
        assert not list(pouta.compute.servers())
        assert not list(pouta.compute.keypairs())
        assert not list(pouta.network.ips())
        assert {port.device_owner for port in pouta.network.ports()} == {"network:router_interface"}
        assert {group.name for group in pouta.network.security_groups()} == {"default"}
        assert not list(pouta.object_store.containers())
        user = pouta.current_user_id
        keys = pouta.identity.get(f"/users/{user}/credentials/OS-EC2").json()["credentials"]
        assert keys == []
        assert pukki.database.get("/instances").json()["instances"] == []
