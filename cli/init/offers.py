"""What the clouds have to choose from, asked as the program itself asks them."""

from dataclasses import dataclass

from infra import clouds
from infra.providers import trove
from infra.sdk import connect, region_config, sentences


@dataclass(frozen=True)
class ComputeOffer:
    """Names, those of images and flavors sorted as the cloud gives them."""

    networks: list[str]
    external_networks: list[str]
    images: list[str]
    flavors: list[str]
    store_endpoint: str
    project_id: str


@dataclass(frozen=True)
class DatabaseOffer:
    """Flavors by name, and versions, the newest first."""

    flavors: list[str]
    versions: list[str]


def regions(entry: str, service: str) -> list[str]:
    """To choose from: the one that clouds.yaml names, else all that the catalog has."""
    found = clouds.regions(entry, service)
    configured = region_config(entry).get_region_name() or ""
    return [configured] if configured in found else found


def compute(entry: str, region: str) -> ComputeOffer:
    """Raises CloudError where the cloud cannot be asked."""
    with sentences(entry):
        cloud = connect(entry, region)
        project = str(cloud.session.get_project_id())
        endpoint = cloud.session.get_endpoint(
            service_type="object-store", region_name=region, interface="public"
        )
        by_size = sorted(cloud.compute.flavors(), key=lambda each: (each.ram, each.name))
        external = cloud.network.networks(is_router_external=True)
        return ComputeOffer(
            networks=sorted(clouds.routed_networks(cloud, project).values()),
            external_networks=sorted(str(network.name) for network in external),
            images=sorted(str(image.name) for image in cloud.image.images()),
            flavors=[str(flavor.name) for flavor in by_size],
            store_endpoint=clouds.s3_endpoint(endpoint or ""),
            project_id=project,
        )


def database(entry: str, region: str) -> DatabaseOffer:
    """Raises CloudError where the cloud cannot be asked."""
    with sentences(entry):
        cloud = connect(entry, region)
        versions = trove.versions(cloud, clouds.DATASTORE)
        return DatabaseOffer(
            flavors=list(trove.flavors(cloud)),
            versions=sorted(versions, key=_numbers, reverse=True),
        )


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else -1 for part in version.split(".")]
