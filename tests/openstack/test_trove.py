"""The database providers against real Trove, and what that does with Neutron and Nova."""

from collections.abc import Iterator

import pytest

from clients import readiness
from clients import trove as client
from clients.errors import DatabaseError
from tests.eventually import eventually
from tests.openstack.services import entries
from tests.openstack.services.configuration import DATABASE_REGION
from tests.openstack.services.stack import OpenStack
from tests.trove.api import ApiTraps
from tests.trove.providers import OWNER, WAITER, ProviderPromises, Up, inputs, waited
from tests.trove.service import MINE, SECONDS, Service


@pytest.fixture(scope="module")
def trove(cloud: OpenStack) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch, cloud.admin(entries.DATABASE) as administrator:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
        yield Service(entries.DATABASE, DATABASE_REGION, administrator=administrator)


class TestApi(ApiTraps):
    """As the local cloud's."""


class TestProviders(ProviderPromises):
    """And Neutron has the rules that were asked for."""

    def test_security_group_admits_exactly_what_was_asked(self, cloud: OpenStack, up: Up) -> None:
        up.update(allowed_cidrs=[MINE])
        assert admitted(cloud, up.id) == {("tcp", 5432, 5432, MINE)}
        up.update(allowed_cidrs=["198.51.100.0/24", "192.0.2.1/32"])
        assert admitted(cloud, up.id) == {
            ("tcp", 5432, 5432, "198.51.100.0/24"),
            ("tcp", 5432, 5432, "192.0.2.1/32"),
        }


def admitted(cloud: OpenStack, identifier: str) -> set[tuple[str, int, int, str]]:
    """Who may connect to what, by the rules of the port that the instance's public address has."""
    with cloud.admin(entries.COMPUTE) as pouta:
        (port,) = pouta.network.ports(name=f"trove-{identifier}")
        assert port.is_port_security_enabled
        rules = [
            rule
            for group in port.security_group_ids
            for rule in pouta.network.security_group_rules(
                security_group_id=group, direction="ingress"
            )
        ]
    return {
        (rule.protocol, rule.port_range_min, rule.port_range_max, rule.remote_ip_prefix)
        for rule in rules
    }


def test_nothing_of_an_instance_is_left_in_the_other_cloud(
    cloud: OpenStack, trove: Service
) -> None:
    created = OWNER.create(inputs(trove, "leaves-nothing"))
    WAITER.create(waited(created.id, created.outs or {}))
    OWNER.delete(created.id, created.outs or {})
    with cloud.admin(entries.COMPUTE) as pouta:
        assert not list(pouta.network.ports(name=f"trove-{created.id}"))
        groups = pouta.network.security_groups()
        assert not [group for group in groups if created.id in group.name]


def test_failed_instance_is_reported_and_can_be_deleted(trove: Service) -> None:
    created = OWNER.create(inputs(trove, "broken-GUEST_ERROR"))
    props = created.outs or {}
    with pytest.raises(DatabaseError, match=r"is in status|is ACTIVE/"):
        WAITER.create(waited(created.id, props, wait_minutes=5))
    OWNER.delete(created.id, props)
    assert client.get(trove.cloud, created.id) is None


def test_instance_deleted_elsewhere(trove: Service) -> None:
    created = OWNER.create(inputs(trove, "deleted"))
    props = created.outs or {}
    readiness.delete_and_wait(trove.cloud, created.id)
    trove.gone(created.id)
    with pytest.raises(DatabaseError, match=r"is gone: run `pulumi refresh`"):
        WAITER.create(waited(created.id, props))
    assert OWNER.read(created.id, props).id == ""
    again = OWNER.create(inputs(trove, "deleted"))
    assert again.id != created.id
    OWNER.delete(again.id, again.outs or {})


def test_machine_deleted_without_trove(cloud: OpenStack, trove: Service) -> None:
    created = OWNER.create(inputs(trove, "machine-gone"))
    props = created.outs or {}
    WAITER.create(waited(created.id, props))
    with cloud.admin(entries.COMPUTE) as pouta:
        (server,) = pouta.compute.servers(all_projects=True, name="machine-gone")
        pouta.compute.delete_server(server)
        pouta.compute.wait_for_delete(server, wait=SECONDS)
    with pytest.raises(DatabaseError, match=rf"{created.id}") as raised:
        WAITER.create(waited(created.id, props, wait_minutes=0.05))
    assert "\n" not in str(raised.value)
    OWNER.delete(created.id, props)


def test_taskmanager_outage(cloud: OpenStack, trove: Service) -> None:
    """Pending requests are completed when it is back; the wait continues."""
    cloud.stop("trove-taskmanager")
    created = OWNER.create(inputs(trove, "patient"))
    with pytest.raises(DatabaseError, match=r"is BUILD after .* run `up` again"):
        WAITER.create(waited(created.id, created.outs or {}, wait_minutes=0.05))
    cloud.start("trove-taskmanager")
    WAITER.create(waited(created.id, created.outs or {}))
    eventually(lambda: client.get(trove.cloud, created.id))
    OWNER.delete(created.id, created.outs or {})
