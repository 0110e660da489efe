"""What the clouds have at the start: users, services, flavors, an image, networks."""

from typing import TYPE_CHECKING, Any

from tests.openstack.services import configuration, daemons, entries
from tests.openstack.services.daemons import STAND_INS
from tests.openstack.services.layout import Layout

if TYPE_CHECKING:
    from openstack.connection import Connection

#: A customer's project, and its user's name: the same in both clouds, as two different ones.
TENANT = "demo"
IMAGE = "Ubuntu-24.04"
#: name: cores, MiB, GiB
FLAVORS = {
    "standard.tiny": (1, 1000, 80),
    "standard.small": (2, 2000, 80),
    "standard.medium": (3, 4000, 80),
}
VERSIONS = ("17.5", "16.9")
EXTERNAL_NETWORK = "public"
#: As a customer of cPouta has.
FLOATING_IPS = 2


def identities(layout: Layout) -> None:
    """Users, projects and the catalogs of both clouds; addresses are placeholders still."""
    services = {
        "glance": "image",
        "placement": "placement",
        "nova": "compute",
        "neutron": "network",
    }
    with entries.admin(layout, entries.COMPUTE) as cloud:
        _people(layout, cloud, configuration.USERS)
        _catalog(cloud, services, configuration.REGION)
    with entries.admin(layout, entries.DATABASE) as cloud:
        _people(layout, cloud, ("trove",))
        _catalog(cloud, {"trove": "database"}, configuration.DATABASE_REGION)


def resources(layout: Layout) -> None:
    """Flavors, image, networks and datastores; the APIs of the first cloud answer."""
    with entries.admin(layout, entries.COMPUTE) as cloud:
        for name, (cores, memory, disk) in FLAVORS.items():
            cloud.compute.create_flavor(name=name, vcpus=cores, ram=memory, disk=disk)
        _image(cloud, IMAGE)
        guest = _image(cloud, "trove-guest")
        _external_network(cloud)
        identity: Any = cloud.identity  # whose type says it may be of version 2
        tenant = identity.find_project(TENANT, ignore_missing=False)
        _internal_network(cloud, TENANT, "192.168.1.0/24", tenant.id)
        service = identity.find_project("service", ignore_missing=False)
        network = _internal_network(cloud, "databases", "10.80.0.0/16", service.id)
        layout.keep_database_network(network)
        cloud.network.update_quota(tenant.id, floating_ips=FLOATING_IPS)
    script = [layout.program("python"), str(STAND_INS / "trove_datastores.py")]
    daemons.run(layout, [*script, str(layout.etc / "trove.conf"), guest, *VERSIONS])


def _people(layout: Layout, cloud: "Connection", services: tuple[str, ...]) -> None:
    identity: Any = cloud.identity
    roles = {role.name: role for role in identity.roles()}
    project = identity.create_project(name="service", domain_id="default")
    for name in services:
        user = identity.create_user(
            name=name, password=layout.passwords.service, domain_id="default"
        )
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(project, user, roles[role])
    project = identity.create_project(name=TENANT, domain_id="default")
    user = identity.create_user(name=TENANT, password=layout.passwords.tenant, domain_id="default")
    for role in ("member", "reader"):
        identity.assign_project_role_to_user(project, user, roles[role])


def _catalog(cloud: "Connection", services: dict[str, str], region: str) -> None:
    identity: Any = cloud.identity
    for name, kind in services.items():
        service = identity.create_service(name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            identity.create_endpoint(
                service_id=service.id,
                interface=interface,
                region_id=region,
                url="http://127.0.0.1:9",  # etc/addresses.sql writes the right one at each start
            )


def _image(cloud: "Connection", name: str) -> str:
    image = cloud.image.create_image(
        name=name,
        disk_format="raw",
        container_format="bare",
        visibility="public",
        data=bytes(1024),
    )
    return str(image.id)


def _external_network(cloud: "Connection") -> None:
    network = cloud.network.create_network(
        name=EXTERNAL_NETWORK,
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network=EXTERNAL_NETWORK,
    )
    cloud.network.create_subnet(
        network_id=network.id,
        ip_version=4,
        cidr="198.51.100.0/24",
        gateway_ip="198.51.100.1",
        is_dhcp_enabled=False,
        allocation_pools=[{"start": "198.51.100.10", "end": "198.51.100.250"}],
    )


def _internal_network(cloud: "Connection", name: str, cidr: str, project: str) -> str:
    """A project's default network, with a router to the outside, as cPouta makes it."""
    external = cloud.network.find_network(EXTERNAL_NETWORK, ignore_missing=False)
    network: Any = cloud.network.create_network(name=name, project_id=project)
    subnet = cloud.network.create_subnet(
        network_id=network.id, name=name, ip_version=4, cidr=cidr, project_id=project
    )
    router = cloud.network.create_router(
        name=name, project_id=project, external_gateway_info={"network_id": external.id}
    )
    cloud.network.add_interface_to_router(router, subnet=subnet.id)
    return str(network.id)
