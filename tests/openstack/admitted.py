"""Who may connect to what, by Neutron's own rules."""

from typing import TYPE_CHECKING, Any

from tests.openstack.services.stack import OpenStack

if TYPE_CHECKING:
    from openstack.connection import Connection

Rules = set[tuple[str, int, int, str]]
"""Protocol, first and last port (None: any), and a range, the name of a group, or "None"."""


def to_database(cloud: OpenStack, instance: str) -> Rules:
    """What reaches the port that has a Trove instance's public address."""
    return _to_port(cloud, name=f"trove-{instance}")


def to_machine(cloud: OpenStack, server: str) -> Rules:
    """What reaches a server's only port."""
    return _to_port(cloud, device_id=server)


def _to_port(cloud: OpenStack, **which: str) -> Rules:
    with cloud.admin() as admin:
        [port] = admin.network.ports(**which)
        assert port.is_port_security_enabled
        return {
            (rule.protocol, rule.port_range_min, rule.port_range_max, _source(admin, rule))
            for group in port.security_group_ids
            for rule in admin.network.security_group_rules(
                security_group_id=group, direction="ingress"
            )
        }


def _source(admin: "Connection", rule: Any) -> str:
    if rule.remote_group_id is None:
        return str(rule.remote_ip_prefix)
    return str(admin.network.get_security_group(rule.remote_group_id).name)
