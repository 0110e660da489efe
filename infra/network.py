"""The machine's network: floating IP, security group, port."""

import ipaddress

import pulumi
import pulumi_openstack as openstack

from infra.clouds import Compute
from infra.settings.models import Settings

SSH = 22


class Network(pulumi.ComponentResource):
    """A port that only operators reach over ssh, and the address that the database admits."""

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
                f"ssh-from-{cidr}",
                direction="ingress",
                ethertype=f"IPv{ipaddress.ip_network(cidr).version}",
                protocol="tcp",
                port_range_min=SSH,
                port_range_max=SSH,
                remote_ip_prefix=cidr,
                security_group_id=group.id,
                opts=child,
            )
            for cidr in settings.machine.operator_cidrs
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
