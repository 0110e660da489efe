"""The machine's network: floating IP, security group, port."""

import ipaddress
from collections.abc import Iterator

import pulumi
import pulumi_openstack as openstack

from infra.clouds import Compute
from infra.settings.models import Settings
from worker.broker import CAMERAS_PORT

SSH, HTTP, HTTPS = 22, 80, 443
EVERYBODY = "0.0.0.0/0"


class Network(pulumi.ComponentResource):
    """A port, open to the ranges of the settings, and the address that the database admits."""

    address: pulumi.Output[str]
    port_id: pulumi.Output[str]

    def __init__(
        self, settings: Settings, cloud: Compute, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("pipeline:infra:Network", "network", None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = settings.names
        floating_ip = openstack.networking.FloatingIp(
            "floating-ip",
            pool=settings.machine.external_network,
            description=names.floating_ip_description,
            opts=child,
        )
        # Neutron's own egress rules stay: without them the metadata service is out of reach.
        group = openstack.networking.SecGroup(
            "operators",
            name=names.security_group,
            description="ssh from the operators' addresses only",
            # A group in use cannot be deleted: the provider would retry for ten minutes.
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(delete="2m")
            ),
        )
        self.rules: list[pulumi.Resource] = [
            openstack.networking.SecGroupRule(
                f"{name}-from-{cidr}",
                direction="ingress",
                ethertype=f"IPv{ipaddress.ip_network(cidr).version}",
                protocol="tcp",
                port_range_min=number,
                port_range_max=number,
                remote_ip_prefix=cidr,
                security_group_id=group.id,
                opts=child,
            )
            for name, number, cidr in _openings(settings)
        ]
        port = openstack.networking.Port(
            "port",
            name=names.port,
            network_id=cloud.network_id,
            security_group_ids=[group.id],
            opts=child,
        )
        self.address, self.port_id = floating_ip.address, port.id
        self.register_outputs({"address": self.address, "port_id": self.port_id})


def _openings(settings: Settings) -> Iterator[tuple[str, int, str]]:
    """Yield protocol, port and range of what the machine answers."""
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
