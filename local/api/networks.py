"""Networks, subnets and routers: those that exist from the start, and those created later.

From the start there are the external network `public` and the project's own behind a router.
"""

from typing import Any

from local.api.state import CloudState, Record

INTERNAL_CIDR, GATEWAY = "192.168.1.0/24", "192.168.1.1"
ROUTER_ADDRESS = "127.0.0.2"
EXTERNAL = "public"
CREATED, CREATED_SUBNETS, CREATED_PORTS = "networks", "subnets", "router-ports"
"""The collections of what was created over the API."""


def networks(state: CloudState) -> list[Record]:
    """Return Neutron's view of the networks: external, the project's own, those created later."""
    external = {
        **own_network(state, state.fixed_id("network/external"), EXTERNAL),
        "router:external": True,
        "is_default": True,
        "tenant_id": "admin",
        "project_id": "admin",
        "subnets": [state.fixed_id("subnet/external")],
    }
    first = {
        **own_network(state, state.fixed_id("network/internal"), state.identity.project_name),
        "subnets": [state.fixed_id("subnet/internal")],
    }
    return [external, first, *state.records.all(CREATED)]


def own_network(state: CloudState, identifier: str, name: str) -> Record:
    """Return Neutron's view of an internal network of the project.

    Args:
        state: the state.
        identifier: the network's id.
        name: its name.
    """
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
        "tenant_id": state.identity.project_id,
        "project_id": state.identity.project_id,
        "subnets": [],
    }


def internal_network(state: CloudState) -> Record:
    """Return the project's own network."""
    return networks(state)[1]


def subnets(state: CloudState) -> list[Record]:
    """Return the subnets; users do not see the external network's."""
    project = state.identity.project_id
    return [
        {
            "id": state.fixed_id("subnet/internal"),
            "name": f"{state.identity.project_name}-subnet",
            "network_id": state.fixed_id("network/internal"),
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
        *state.records.all(CREATED_SUBNETS),
    ]


def routers(state: CloudState) -> list[Record]:
    """Return the router; servers without a floating IP reach the outside from its address."""
    project = state.identity.project_id
    address = {"subnet_id": state.fixed_id("subnet/external"), "ip_address": ROUTER_ADDRESS}
    gateway: dict[str, Any] = {
        "network_id": state.fixed_id("network/external"),
        "enable_snat": True,
        "external_fixed_ips": [address],
    }
    return [
        {
            "id": state.fixed_id("router"),
            "name": f"{state.identity.project_name}-router",
            "status": "ACTIVE",
            "admin_state_up": True,
            "tenant_id": project,
            "project_id": project,
            "external_gateway_info": gateway,
            "routes": [],
        }
    ]


def router_port(state: CloudState) -> Record:
    """Return the router's interface in the project's own network."""
    project = state.identity.project_id
    fixed = {"subnet_id": state.fixed_id("subnet/internal"), "ip_address": GATEWAY}
    return {
        "id": state.fixed_id("router/port"),
        "name": "",
        "network_id": state.fixed_id("network/internal"),
        "device_owner": "network:router_interface",
        "device_id": state.fixed_id("router"),
        "fixed_ips": [fixed],
        "status": "ACTIVE",
        "admin_state_up": True,
        "mac_address": "fa:16:3e:00:00:01",
        "security_groups": [],
        "tenant_id": project,
        "project_id": project,
    }
