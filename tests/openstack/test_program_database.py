"""The program's database through Pulumi's engine, on real Trove.

In the copy that runs, `__main__.py` is the program without what needs the provider `openstack`,
which not every machine can get: the machine's address is one of documentation (RFC 5737).
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.openstack import admitted
from tests.openstack.customer import INIT, Customer

STACK = ("--stack", "lab")
ADDRESS = "192.0.2.9"
PROGRAM = f'''"""The program's database alone."""

import os

import pulumi

from infra import clouds, settings
from infra.database import database

stack = settings.load(os.environ)
_, cloud = clouds.look_up(stack)
made = database(stack, cloud, "{ADDRESS}")
pulumi.export("databaseHost", made.host)
pulumi.export("databaseAdminPassword", made.admin_password)
'''


@pytest.fixture(scope="module", autouse=True)
def stack(person: Customer) -> Iterator[None]:
    """Settings as `init` writes them."""
    (person.checkout.folder / "__main__.py").write_text(PROGRAM)
    person.checkout.pipeline("init", "lab", *INIT)
    yield
    person.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def instances(person: Customer) -> list[dict[str, Any]]:
    """What Trove has of the customer's."""
    with person.pukki() as pukki:
        found = pukki.database.get("/instances").json()["instances"]
        answers = [pukki.database.get(f"/instances/{each['id']}") for each in found]
        # One that is being deleted may be gone since it was listed.
        return [answer.json()["instance"] for answer in answers if answer.status_code == 200]


def test_it_admits_the_machine_and_nobody_else(person: Customer) -> None:
    told = person.checkout.pipeline("up", *STACK).stderr
    assert "made  TroveReady" in told
    [instance] = instances(person)
    assert (instance["status"], instance["operating_status"]) == ("ACTIVE", "HEALTHY")
    rules = admitted.to_database(person.cloud, instance["id"])
    assert rules == {("tcp", 5432, 5432, f"{ADDRESS}/32")}
    outputs = person.checkout.json("outputs", *STACK)
    public = [each["address"] for each in instance["addresses"] if each["type"] == "public"]
    assert outputs == {"databaseHost": public[0], "databaseAdminPassword": "[secret]"}


def test_ranges_and_volume_change_in_place(person: Customer) -> None:
    [before] = instances(person)
    person.change("lab", databaseCidrs=["203.0.113.0/24"], databaseVolumeSize=2)
    person.checkout.pipeline("up", *STACK)
    [after] = instances(person)
    assert (after["id"], after["volume"]["size"]) == (before["id"], 2)
    assert admitted.to_database(person.cloud, after["id"]) == {
        ("tcp", 5432, 5432, f"{ADDRESS}/32"),
        ("tcp", 5432, 5432, "203.0.113.0/24"),
    }
    assert "No change." in person.checkout.pipeline("preview", *STACK).stdout


def test_destroy_leaves_nothing(person: Customer) -> None:
    [instance] = instances(person)
    person.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    assert instances(person) == []
    with person.cloud.admin() as admin:
        assert not [g for g in admin.network.security_groups() if instance["id"] in g.name]
