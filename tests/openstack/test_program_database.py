"""The program's database through Pulumi's engine, on real Trove.

In the copy that runs, `__main__.py` is the program without what needs the provider `openstack`,
which not every machine can get: the machine's address is one of documentation (RFC 5737).
"""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.proxy import Proxy
from tests.checkout import output_until
from tests.eventually import eventually, patience
from tests.openstack import admitted
from tests.openstack.customer import INIT, Customer
from tests.openstack.regions import second_region
from tests.openstack.services import entries
from tests.openstack.services.layout import HOST

STACK = ("--stack", "lab")
ADDRESS = "192.0.2.9"
REGION = "second"
NAME = "image-pipeline-lab-db"
PROGRAM = f'''"""The program's database alone."""

import os

import pulumi

from infra import clouds
from infra.database import make_database
from infra.settings.load import load

stack = load(os.environ)
_, cloud = clouds.look_up(stack)
made = make_database(stack, cloud, ["{ADDRESS}"])
pulumi.export("databaseHost", made.host)
pulumi.export("databaseAdminPassword", made.admin_password)
'''


class Watch:
    """A proxy before Trove calls `ordered` once: an order is accepted, but not yet answered."""

    def __init__(self) -> None:
        self.ordered: Callable[[], None] | None = None

    def __call__(self, _: int, phase: str, request: bytes) -> None:
        if self.ordered and phase == "after" and re.match(rb"POST \S+/instances ", request):
            act, self.ordered = self.ordered, None
            act()


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module", autouse=True)
def stack(operator: Customer, watch: Watch) -> Iterator[None]:
    """Settings as `init` writes them, in a region of the database's cloud that is one of two."""
    (operator.checkout.folder / "__main__.py").write_text(PROGRAM)
    content = json.loads(operator.account.read_text())
    del content["clouds"][entries.DATABASE]["region_name"]
    operator.clouds_yaml.write_text(json.dumps(content))
    with (
        Proxy(HOST, operator.cloud.layout.ports.trove, watch) as proxy,
        second_region(operator.cloud, entries.DATABASE, REGION, {"database": proxy.port}),
    ):
        operator.checkout.pipeline("init", "lab", *INIT, "--database-region", REGION)
        yield
        operator.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def instances(operator: Customer) -> list[dict[str, Any]]:
    """What Trove has of the customer's."""
    with operator.pukki() as pukki:
        found = pukki.database.get("/instances").json()["instances"]
        answers = [pukki.database.get(f"/instances/{each['id']}") for each in found]
        # One that is being deleted may be gone since it was listed.
        return [answer.json()["instance"] for answer in answers if answer.status_code == 200]


def test_lost_order_is_reported_and_not_adopted(operator: Customer, watch: Watch) -> None:
    """Trove, in the settings' region, accepts the order, but its response is never read."""
    struck: list[int] = []

    def kill() -> None:
        os.killpg(process.pid, signal.SIGKILL)
        struck.append(process.wait())

    watch.ordered = kill
    process = operator.checkout.start("up", *STACK)
    printed, _ = process.communicate()
    eventually(lambda: struck)  # the proxy's thread may still wait for the process
    assert struck == [-signal.SIGKILL], printed
    [lost] = instances(operator)
    assert lost["name"] == NAME
    printed = operator.checkout.pipeline("up", *STACK, code=1).stderr
    assert NAME in printed
    assert "./pipeline strays --stack lab --remove" in printed
    assert [each["id"] for each in instances(operator)] == [lost["id"]]
    listed = operator.checkout.pipeline("strays", "--remove", "--yes", *STACK).stdout
    assert f"database  {NAME}" in listed
    assert instances(operator) == []
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)


@pytest.fixture
def no_database_is_built(operator: Customer) -> Iterator[Callable[[], None]]:
    """Until what this gives is called: Trove takes orders, and they stay in BUILD."""
    name = "trove-taskmanager"
    stopped = True

    def go_on() -> None:
        nonlocal stopped
        if stopped:
            operator.cloud.start(name)
        stopped = False

    operator.cloud.stop(name)
    yield go_on
    go_on()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_wait_is_resumed_by_the_next_up(
    operator: Customer, number: signal.Signals, no_database_is_built: Callable[[], None]
) -> None:
    """The person's Ctrl-C, or the machine's end: both reach the engine and its plugins, too."""
    process = operator.checkout.start("up", *STACK)
    printed = output_until(process, "is BUILD; waiting")
    os.killpg(process.pid, number)
    printed += process.communicate(timeout=300 * patience())[0]
    assert process.returncode not in (0, None), printed
    assert "Traceback" not in printed
    assert ("'./pipeline up --stack lab' continues" in printed) == (number == signal.SIGINT), (
        printed
    )
    [before] = instances(operator)
    assert before["status"] == "BUILD"
    no_database_is_built()
    again = operator.checkout.pipeline("up", *STACK).stderr
    assert "created  TroveReady" in again
    [after] = instances(operator)
    assert (after["id"], after["status"], after["operating_status"]) == (
        before["id"],
        "ACTIVE",
        "HEALTHY",
    )
    if number == signal.SIGINT:  # the other one is still used
        operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
        assert instances(operator) == []


def test_database_admits_only_the_machine(operator: Customer) -> None:
    [instance] = instances(operator)
    rules = admitted.to_database(operator.cloud, instance["id"])
    assert rules == {("tcp", 5432, 5432, f"{ADDRESS}/32")}
    outputs = operator.checkout.json("outputs", *STACK)
    public = [each["address"] for each in instance["addresses"] if each["type"] == "public"]
    assert outputs == {"databaseHost": public[0], "databaseAdminPassword": "[secret]"}


def test_ranges_and_volume_change_in_place(operator: Customer) -> None:
    [before] = instances(operator)
    operator.change("lab", databaseCidrs=["203.0.113.0/24"], databaseVolumeSize=2)
    operator.checkout.pipeline("up", *STACK)
    [after] = instances(operator)
    assert (after["id"], after["volume"]["size"]) == (before["id"], 2)
    assert admitted.to_database(operator.cloud, after["id"]) == {
        ("tcp", 5432, 5432, f"{ADDRESS}/32"),
        ("tcp", 5432, 5432, "203.0.113.0/24"),
    }
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_destroy_leaves_nothing(operator: Customer) -> None:
    [instance] = instances(operator)
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    assert instances(operator) == []
    with operator.cloud.admin() as admin:
        assert not [g for g in admin.network.security_groups() if instance["id"] in g.name]
