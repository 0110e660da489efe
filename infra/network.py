"""The machines' network: floating IP, security groups, ports."""

import ipaddress
from collections.abc import Iterator, Sequence

import pulumi
from pulumi_openstack.networking import FloatingIp, Port, SecGroup, SecGroupRule

from infra.clouds import Compute
from infra.names import Names, numbered
from infra.settings.models import Settings
from worker.broker import CAMERAS_PORT

SSH, HTTP, HTTPS = 22, 80, 443
EVERYBODY = "0.0.0.0/0"


class Network(pulumi.ComponentResource):
    """A port for each machine: the first is open to the ranges of the settings, others to it.

    Attributes:
        address: The floating IP.
        addresses: Where the machines answer, the first one first: the others inside the network.
        ports: The machines' ports, the first one's first.
        routers: Addresses from which further machines reach the database.
        rules: What a machine depends on.
    """

    def __init__(
        self, settings: Settings, cloud: Compute, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("pipeline:infra:Network", "network", None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        names, count = settings.names, settings.machine.count
        floating_ip = FloatingIp(
            "floating-ip",
            pool=settings.machine.external_network,
            description=names.floating_ip_description,
            opts=self._child,
        )
        operators = self._group("operators", names, "ssh from the operators' addresses only")
        self.rules = [
            self._rule(f"{name}-from-{cidr}", operators, number, cidr)
            for name, number, cidr in openings(settings)
        ]
        groups = [operators]
        if count > 1:
            others = self._group("machines", names, "ssh from the first machine only")
            groups += [others] * (count - 1)
            self.rules.append(self._rule("ssh-from-first", others, SSH, operators))
        self.ports = [
            Port(
                numbered("port", number),
                name=names.port(number),
                network_id=cloud.network_id,
                security_group_ids=[group.id],
                opts=self._child,
            )
            for number, group in enumerate(groups, 1)
        ]
        self.address, self.routers = floating_ip.address, list(cloud.routers)
        self.addresses = [self.address, *map(_fixed_address, self.ports[1:])]
        self.register_outputs({"address": self.address, "port_id": self.ports[0].id})

    def _group(self, role: str, names: Names, description: str) -> SecGroup:
        # Neutron's own egress rules stay: without them the metadata service is out of reach.
        return SecGroup(
            role,
            name=names.security_group(role),
            description=description,
            # A group in use cannot be deleted: the provider would retry for ten minutes.
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(delete="2m")
            ),
        )

    def _rule(self, name: str, group: SecGroup, port: int, source: str | SecGroup) -> SecGroupRule:
        """Open a TCP port of a group's machines to a range, or to the members of a group."""
        cidr, members = (source, None) if isinstance(source, str) else (None, source.id)
        return SecGroupRule(
            name,
            direction="ingress",
            ethertype=f"IPv{ipaddress.ip_network(cidr).version if cidr else 4}",
            protocol="tcp",
            port_range_min=port,
            port_range_max=port,
            remote_ip_prefix=cidr,
            remote_group_id=members,
            security_group_id=group.id,
            opts=self._child,
        )


def openings(settings: Settings) -> Iterator[tuple[str, int, str]]:
    """Yield protocol, port and range of what the first machine answers."""
    ways = settings.interfaces
    for cidr in settings.machine.operator_cidrs:
        yield "ssh", SSH, cidr
    if ways.upload:
        for cidr in ways.upload.cidrs:
            yield "https", HTTPS, cidr
        if ways.upload.domain:
            # ACME's authorities look from addresses that they do not publish (RFC 8555, section
            # 8.3); the proxy answers nothing else there.
            yield "http", HTTP, EVERYBODY
    for cidr in ways.mqtt.cidrs if ways.mqtt else ():
        yield "mqtt", CAMERAS_PORT, cidr


def _fixed_address(port: Port) -> pulumi.Output[str]:
    """Return a port's IPv4 address; in a network with both versions it may come second."""
    addresses: pulumi.Output[Sequence[str]] = port.all_fixed_ips
    return addresses.apply(lambda found: min(found, key=lambda address: ":" in address))
