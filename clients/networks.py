"""The internal networks of a cloud, as a project sees them (id -> name)."""

from typing import TYPE_CHECKING

from clients.errors import CloudError, NotInCloud, join_names

if TYPE_CHECKING:
    from openstack.connection import Connection

#: Owners of a router's port on a network (neutron-lib, DEVICE_OWNER_*): plain, distributed, HA.
ROUTER_OWNERS = ("network:router_interface", "network:ha_router_replicated_interface")


def list_internal_networks(cloud: "Connection", project: str) -> dict[str, str]:
    """Return the project's own networks and those that are shared with it."""
    return {
        net.id: net.name
        for net in cloud.network.networks(is_router_external=False)
        if net.project_id == project or net.is_shared
    }


def list_routed_networks(cloud: "Connection", project: str) -> dict[str, str]:
    """Return those of the internal networks that have a router."""
    routed = {
        port.network_id
        for port in cloud.network.ports()
        if str(port.device_owner).startswith(ROUTER_OWNERS)
    }
    internal = list_internal_networks(cloud, project)
    return {id_: name for id_, name in internal.items() if id_ in routed}


def choose_network(cloud: "Connection", wanted: str, project: str) -> str:
    """Return the id of the machine's network: the one that is wanted, or the only routed one.

    Raises:
        CloudError: None has a router, or several have and none is named.
        NotInCloud: The project does not have the one that is named.
    """
    entry = cloud.config.name
    internal = list_internal_networks(cloud, project)
    if wanted:
        ids = [id_ for id_, name in internal.items() if wanted in (id_, name)]
        if len(ids) != 1:
            raise NotInCloud("network", wanted, entry, "internal networks", internal.values())
        return str(ids[0])
    found = list_routed_networks(cloud, project)
    if not found:
        raise CloudError(
            f"Cloud {entry!r} has no internal network with a router: create one, then set network"
            f" (available internal networks: {join_names(internal.values())})."
        )
    if len(found) > 1:
        raise CloudError(
            f"network is missing: cloud {entry!r} has the networks {join_names(found.values())}"
            " with a router, so name one."
        )
    return str(next(iter(found)))


def router_addresses(cloud: "Connection", network: str, machines: int) -> tuple[str, ...]:
    """Return the IPv4 addresses behind which a network's machines without a floating IP appear.

    Args:
        cloud: The compute cloud.
        network: The network's id.
        machines: How many the stack has.

    Returns:
        Those of its routers that translate addresses (SNAT), sorted.

    Raises:
        CloudError: The project sees no such router.
    """
    routers = {
        port.device_id
        for port in cloud.network.ports(network_id=network)
        if str(port.device_owner).startswith(ROUTER_OWNERS)
    }
    found = set()
    for router in cloud.network.routers():
        gateway = router.external_gateway_info or {}
        if router.id in routers and gateway.get("enable_snat", True):
            found |= {str(each["ip_address"]) for each in gateway.get("external_fixed_ips") or ()}
    addresses = tuple(sorted(address for address in found if ":" not in address))
    if not addresses:
        raise CloudError(
            f"machines is {machines}, but only the first has a floating IP, and in cloud"
            f" {cloud.config.name!r} no router of network {network} translates addresses for the"
            " others: give its router a gateway to an external network with SNAT, set network to"
            " another one, or machines to 1."
        )
    return addresses
