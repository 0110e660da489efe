"""`machines` raised and lowered: other machines, the database and its data stay as they are."""

from dataclasses import dataclass

import pytest

from local.api.networks import ROUTER_ADDRESS
from tests import scaling
from tests.engine.cloud_operator import CloudOperator

pytestmark = pytest.mark.long
PREFIX = "image-pipeline-lab-vm"


@dataclass(frozen=True)
class Deployed:
    """What a cloud has of the stack."""

    servers: dict[str, str]
    address: str
    database: str
    cidrs: set[str]


def deployed(operator: CloudOperator) -> Deployed:
    cloud = operator.openstack()
    [address] = cloud.network.ips()
    [instance] = cloud.database.get("/instances").json()["instances"]
    shown = cloud.database.get(f"/instances/{instance['id']}").json()["instance"]
    return Deployed(
        {server.name: server.id for server in cloud.compute.servers()},
        str(address.floating_ip_address),
        str(instance["id"]),
        set(shown["access"]["allowed_cidrs"]),
    )


def test_three_machines_then_one_then_two(operator: CloudOperator) -> None:
    steps = scaling.scale(operator, 3)
    scaling.assert_order(steps, "created TroveReady", "created Instance")
    scaling.assert_order(steps, "created BucketContents", "created Instance")
    three = deployed(operator)
    assert sorted(three.servers) == [PREFIX, f"{PREFIX}-2", f"{PREFIX}-3"]
    floating_ip, router = f"{three.address}/32", f"{ROUTER_ADDRESS}/32"
    assert three.cidrs == {floating_ip, router}
    outputs = operator.checkout.json("outputs", *scaling.STACK)
    assert outputs["machineNames"] == sorted(three.servers)
    assert outputs["machineAddresses"][0] == three.address
    assert len(set(outputs["machineAddresses"])) == 3

    steps = scaling.scale(operator, 1)
    removed = scaling.of_machines(2, 3) | scaling.SHARED
    assert set(steps) == scaling.DATABASE | scaling.changes("deleted", removed)
    one = deployed(operator)
    assert one == Deployed(
        {PREFIX: three.servers[PREFIX]}, three.address, three.database, {floating_ip}
    )

    steps = scaling.scale(operator, 2)
    added = scaling.of_machines(2) | scaling.SHARED
    assert set(steps) == scaling.DATABASE | scaling.changes("created", added)
    scaling.assert_order(steps, "updated TroveReady", "created Instance vm-2")
    two = deployed(operator)
    assert two.servers.pop(f"{PREFIX}-2") != three.servers[f"{PREFIX}-2"]
    assert two == Deployed(one.servers, one.address, one.database, {floating_ip, router})

    printed = operator.checkout.pipeline("destroy", "--data", "--yes", *scaling.STACK).stderr
    scaling.assert_order(scaling.steps(printed), "deleted Instance", "deleted BucketContents")
