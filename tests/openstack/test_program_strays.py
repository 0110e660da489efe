"""A lost state: leftover resources are listed, never adopted, and removed on request.

They are created on real OpenStack under the program's names, as by an `up` whose state was lost.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.openstack.customer import INIT, NETWORK, Customer

if TYPE_CHECKING:
    from openstack.connection import Connection

STACK = ("--stack", "lab")
PREFIX = "image-pipeline-lab"
NAMES = {
    f"machine {PREFIX}-vm ",
    f"machine {PREFIX}-vm-2 ",
    f"port {PREFIX}-port ",
    f"port {PREFIX}-port-2 ",
    f"security group {PREFIX}-operators",
    f"security group {PREFIX}-machines",
    f"key pair {PREFIX}-operator",
    f"database {PREFIX}-db",
    "floating IP 198.51.100.",
}


@pytest.fixture(scope="module", autouse=True)
def left(operator: Customer) -> Iterator[None]:
    """Everything the program makes but buckets, and things of the customer's own beside it."""
    operator.checkout.pipeline("init", "lab", *INIT)
    with operator.pouta() as pouta, operator.pukki() as pukki:
        _machine(pouta, PREFIX, Path(f"{operator.base}/home/.ssh/id_ed25519.pub"))
        pouta.network.create_security_group(name="operators")
        order = {
            "name": f"{PREFIX}-db",
            "flavorRef": _flavor(pukki),
            "volume": {"size": 1},
            "datastore": {"type": "postgresql", "version": "17.5"},
            "access": {"is_public": True, "allowed_cidrs": ["192.0.2.9/32"]},
        }
        answer = pukki.database.post("/instances", json={"instance": order})
        assert answer.status_code == 200, answer.text
        yield


def _flavor(pukki: "Connection") -> str:
    flavors = pukki.database.get("/flavors").json()["flavors"]
    return next(str(each["str_id"]) for each in flavors if each["name"] == "standard.small")


def _machine(pouta: "Connection", prefix: str, key: Path) -> None:
    network = pouta.network.find_network(NETWORK, ignore_missing=False)
    external = pouta.network.find_network("public", ignore_missing=False)
    group = pouta.network.create_security_group(name=f"{prefix}-operators")
    port = pouta.network.create_port(
        name=f"{prefix}-port", network_id=network.id, security_groups=[group.id]
    )
    pouta.network.create_ip(floating_network_id=external.id, description=prefix, port_id=port.id)
    pouta.compute.create_keypair(name=f"{prefix}-operator", public_key=key.read_text())
    image = pouta.image.find_image("Ubuntu-24.04", ignore_missing=False)
    flavor = pouta.compute.find_flavor("standard.tiny", ignore_missing=False)
    others = pouta.network.create_security_group(name=f"{prefix}-machines")
    pouta.network.create_security_group_rule(
        security_group_id=others.id, direction="ingress", remote_group_id=group.id
    )
    second = pouta.network.create_port(
        name=f"{prefix}-port-2", network_id=network.id, security_groups=[others.id]
    )
    servers: list[Any] = [
        pouta.compute.create_server(
            name=name,
            image_id=image.id,
            flavor_id=flavor.id,
            networks=[{"port": each.id}],
            key_name=f"{prefix}-operator",
        )
        for name, each in ((f"{prefix}-vm", port), (f"{prefix}-vm-2", second))
    ]
    for server in servers:
        pouta.compute.wait_for_server(server, wait=300)


def test_up_refuses_to_create_a_second_instance(operator: Customer) -> None:
    printed = operator.checkout.pipeline("up", *STACK, code=1).stderr
    assert "is empty, but the clouds have" in printed
    assert "'./pipeline strays --remove --stack lab'" in printed
    for name in NAMES:
        assert name in printed


def test_strays_are_listed_and_removed(operator: Customer) -> None:
    """They are deleted in an order that clouds accept; the customer's own resources stay."""
    answer = operator.checkout.pipeline("strays", "--remove", "--yes", *STACK).stdout
    lines = [" ".join(line.split()) for line in answer.splitlines()]
    assert len(lines) == len(NAMES)
    assert all(any(line.startswith(name) for line in lines) for name in NAMES), answer
    with operator.pouta() as pouta, operator.pukki() as pukki:
        assert not pukki.database.get("/instances").json()["instances"]
        assert not list(pouta.compute.servers())
        assert not list(pouta.network.ips())
        assert not list(pouta.compute.keypairs())
        groups = {group.name for group in pouta.network.security_groups()}
        assert groups == {"default", "operators"}
    assert "are in its state" in operator.checkout.pipeline("strays", *STACK).stdout
