"""Who may connect to what, by Neutron's own rules."""

from tests.openstack.services.stack import OpenStack

Rules = set[tuple[str, int, int, str]]
"""Protocol, first and last port, range: all None where a rule does not narrow it."""


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
            (rule.protocol, rule.port_range_min, rule.port_range_max, rule.remote_ip_prefix)
            for group in port.security_group_ids
            for rule in admin.network.security_group_rules(
                security_group_id=group, direction="ingress"
            )
        }
