"""The networks that exist from the start: `public`, and the project's own behind a router."""

from typing import Any

from local.api.cloud import Cloud
from local.api.records import Record

INTERNAL_CIDR, GATEWAY = "192.168.1.0/24", "192.168.1.1"
ROUTER_ADDRESS = "127.0.0.2"
EXTERNAL = "public"
MADE, MADE_SUBNETS, MADE_PORTS = "networks", "subnets", "router-ports"
"""Records of what was made by hand, beside what exists from the start."""


def networks(cloud: Cloud) -> list[Record]:
    """Neutron's view: the external one, the project's own, and those made by hand."""
    external = {
        **own(cloud, cloud.fixed_id("network/external"), EXTERNAL),
        "router:external": True,
        "is_default": True,
        "tenant_id": "admin",
        "project_id": "admin",
        "subnets": [cloud.fixed_id("subnet/external")],
    }
    first = {
        **own(cloud, cloud.fixed_id("network/internal"), cloud.identity.project_name),
        "subnets": [cloud.fixed_id("subnet/internal")],
    }
    return [external, first, *cloud.records.all(MADE)]


def own(cloud: Cloud, identifier: str, name: str) -> Record:
    """An internal network of the project."""
    return {
        "id": identifier,
        "name": name,
        "status": "ACTIVE",
        "admin_state_up": True,
        "mtu": 1500,
        "port_security_enabled": True,
        "availability_zones": ["nova"],
        "router:external": False,
        "shared": False,
        "tenant_id": cloud.identity.project_id,
        "project_id": cloud.identity.project_id,
        "subnets": [],
    }


def internal(cloud: Cloud) -> Record:
    """The project's own network."""
    return networks(cloud)[1]


def subnets(cloud: Cloud) -> list[Record]:
    """The subnet of the project's own network; the external one's is not shown to users."""
    project = cloud.identity.project_id
    return [
        {
            "id": cloud.fixed_id("subnet/internal"),
            "name": f"{cloud.identity.project_name}-subnet",
            "network_id": cloud.fixed_id("network/internal"),
            "cidr": INTERNAL_CIDR,
            "gateway_ip": GATEWAY,
            "ip_version": 4,
            "enable_dhcp": True,
            "tenant_id": project,
            "project_id": project,
            "allocation_pools": [{"start": "192.168.1.10", "end": "192.168.1.250"}],
            "dns_nameservers": [],
            "host_routes": [],
        },
        *cloud.records.all(MADE_SUBNETS),
    ]


def routers(cloud: Cloud) -> list[Record]:
    """The router between them; machines without a floating IP leave through its address."""
    project = cloud.identity.project_id
    address = {"subnet_id": cloud.fixed_id("subnet/external"), "ip_address": ROUTER_ADDRESS}
    gateway: dict[str, Any] = {
        "network_id": cloud.fixed_id("network/external"),
        "enable_snat": True,
        "external_fixed_ips": [address],
    }
    return [
        {
            "id": cloud.fixed_id("router"),
            "name": f"{cloud.identity.project_name}-router",
            "status": "ACTIVE",
            "admin_state_up": True,
            "tenant_id": project,
            "project_id": project,
            "external_gateway_info": gateway,
            "routes": [],
        }
    ]


def router_port(cloud: Cloud) -> Record:
    """The router's interface in the project's own network."""
    project = cloud.identity.project_id
    fixed = {"subnet_id": cloud.fixed_id("subnet/internal"), "ip_address": GATEWAY}
    return {
        "id": cloud.fixed_id("router/port"),
        "name": "",
        "network_id": cloud.fixed_id("network/internal"),
        "device_owner": "network:router_interface",
        "device_id": cloud.fixed_id("router"),
        "fixed_ips": [fixed],
        "status": "ACTIVE",
        "admin_state_up": True,
        "mac_address": "fa:16:3e:00:00:01",
        "security_groups": [],
        "tenant_id": project,
        "project_id": project,
    }
