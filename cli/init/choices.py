"""Choices that the clouds offer, queried in the way the program does."""

from dataclasses import dataclass

from clients import catalog, trove
from clients.connection import cloud_errors, connect, region_config
from clients.networks import list_routed_networks
from infra.clouds import DATASTORE


@dataclass(frozen=True)
class ComputeChoices:
    """What a compute cloud has.

    Attributes:
        networks: Internal networks with a router, sorted.
        external_networks: Networks of floating IPs, sorted.
        images: Names, sorted.
        flavors: Names, the smallest first.
        store_endpoint: S3 endpoint of its object store, "" if it has none.
        project_id: The project that the credentials are of.
    """

    networks: list[str]
    external_networks: list[str]
    images: list[str]
    flavors: list[str]
    store_endpoint: str
    project_id: str


@dataclass(frozen=True)
class DatabaseChoices:
    """What a database cloud has: flavors, and versions of PostgreSQL, the newest first."""

    flavors: list[str]
    versions: list[str]


def regions(entry: str, service: str) -> list[str]:
    """Return the region that clouds.yaml names, else all that the catalog has for a service."""
    found = catalog.list_regions(entry, service)
    configured = region_config(entry).get_region_name() or ""
    return [configured] if configured in found else found


def compute(entry: str, region: str) -> ComputeChoices:
    """Return what a compute cloud has.

    Raises:
        CloudError: It cannot be queried.
    """
    with cloud_errors(entry):
        cloud = connect(entry, region)
        project = str(cloud.session.get_project_id())
        endpoint = cloud.session.get_endpoint(
            service_type="object-store", region_name=region, interface="public"
        )
        by_size = sorted(cloud.compute.flavors(), key=lambda each: (each.ram, each.name))
        external = cloud.network.networks(is_router_external=True)
        return ComputeChoices(
            networks=sorted(list_routed_networks(cloud, project).values()),
            external_networks=sorted(str(network.name) for network in external),
            images=sorted(str(image.name) for image in cloud.image.images()),
            flavors=[str(flavor.name) for flavor in by_size],
            store_endpoint=catalog.s3_endpoint(endpoint or ""),
            project_id=project,
        )


def database(entry: str, region: str) -> DatabaseChoices:
    """Return what a database cloud has.

    Raises:
        CloudError: It cannot be queried.
    """
    with cloud_errors(entry):
        cloud = connect(entry, region)
        versions = trove.versions(cloud, DATASTORE)
        return DatabaseChoices(
            flavors=list(trove.flavors(cloud)),
            versions=sorted(versions, key=trove.version_order, reverse=True),
        )
