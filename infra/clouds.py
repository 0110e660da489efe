"""What the clouds have, looked up at preview: a typo fails before the database's long wait."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pulumi_openstack as openstack

from infra import clouds_yaml, credential
from infra.errors import CloudError
from infra.providers import s3, trove
from infra.sdk import connect, region_config, sentences
from infra.settings.models import Database, Machine, Settings, Store

if TYPE_CHECKING:
    from openstack.connection import Connection

DATASTORE = "postgresql"
#: Who owns a router's port on a network (neutron-lib, DEVICE_OWNER_*): plain, distributed, HA.
ROUTER_OWNERS = ("network:router_interface", "network:ha_router_replicated_interface")
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Compute:
    """What the compute cloud answered.

    Attributes:
        store_endpoint: S3 endpoint of the cloud's object store, "" where it has none.
        own_buckets: Those of the buckets to adopt that the store shows as this project's own.
    """

    region: str
    project_id: str
    network_id: str
    store_endpoint: str
    own_buckets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class DatabaseCloud:
    """What the database cloud answered."""

    entry: str
    region: str
    flavor_id: str
    version: str


def look_up(settings: Settings) -> tuple[Compute, DatabaseCloud | None]:
    """Asks the clouds; raises CloudError with one sentence for each thing they have not."""
    missing: list[str] = []
    first, second = None, None
    try:
        first = compute(settings)
    except CloudError as error:
        missing.append(str(error))
    try:
        second = None if settings.existing_database else database(settings)
    except CloudError as error:
        missing.append(str(error))
    if missing or first is None:
        raise CloudError("\n".join(missing))
    return first, second


def provider(settings: Settings, found: Compute) -> openstack.Provider:
    """The one explicit OpenStack provider; it reads clouds.yaml itself, so no secret is stored."""
    clouds_yaml.check_provider_finds(clouds_yaml.find())
    return openstack.Provider(
        "compute-cloud",
        cloud=settings.compute.entry,
        region=found.region,
    )


def compute(settings: Settings) -> Compute:
    """Region, project, network and object store of the compute cloud; checks image and flavor."""
    entry = settings.compute.entry
    with sentences(entry):
        region = _region(entry, settings.compute.region, "compute", "computeRegion")
        cloud = connect(entry, region)
        store = settings.store
        credential.check(cloud, makes_keys=store.kind == "openstack" and not store.access_key)
        project = str(cloud.session.get_project_id())
        network = _machine_needs(cloud, settings.machine, project)
        endpoint = cloud.session.get_endpoint(
            service_type="object-store", region_name=region, interface="public"
        )
    if settings.store.kind == "openstack" and not endpoint:
        raise CloudError(
            f"Cloud {entry!r} has no object store in region {region}: set objectStore to aws or"
            " existing, with its endpoint and keys."
        )
    own = _own_buckets(cloud, endpoint or "", settings.store)
    return Compute(region, project, network, s3_endpoint(endpoint or ""), own)


def database(settings: Settings) -> DatabaseCloud:
    """Region, flavor and exact PostgreSQL version of the database cloud."""
    entry = settings.database_cloud.entry
    wanted = settings.database
    with sentences(entry):
        region = _region(entry, settings.database_cloud.region, "database", "databaseRegion")
        cloud = connect(entry, region)
        credential.check(cloud, makes_keys=False)
        flavors = trove.flavors(cloud)
        versions = trove.versions(cloud, DATASTORE)
    if wanted.flavor not in flavors:
        raise _miss("databaseFlavor", wanted.flavor, entry, "flavors", flavors)
    return DatabaseCloud(entry, region, flavors[wanted.flavor], version(wanted, versions, entry))


def version(wanted: Database, versions: Sequence[str], entry: str) -> str:
    """The exact name, or the newest of a major: "17" of 17.4, 17.10 and 16.8 is 17.10."""
    if wanted.version in versions:
        return wanted.version
    of_major = [name for name in versions if name.startswith(f"{wanted.version}.")]
    if not of_major:
        raise _miss("databaseVersion", wanted.version, entry, "PostgreSQL versions", versions)
    return max(of_major, key=_numbers)


def _numbers(name: str) -> list[int]:
    return [int(part) if part.isdigit() else -1 for part in name.split(".")]


def _own_buckets(cloud: "Connection", swift: str, store: Store) -> frozenset[str]:
    """Those of the buckets to adopt that this project owns: a stack may have made them before.

    A bucket that is not seen counts as somebody else's, which the stack then does not even read.
    """
    names = {name for name in store.chosen.values() if name}
    if store.kind != "existing":
        names &= set(store.adopted)
    if not names:
        return frozenset()
    if store.kind == "aws":
        access = {
            "endpoint": store.endpoint,
            "store_region": store.region,
            "access_key": store.access_key,
            "secret_key": store.secret_key,
        }
        return frozenset(names & s3.own_buckets(s3.client(access)).keys())
    return frozenset(name for name in names if swift and _is_container(cloud, f"{swift}/{name}"))


def _is_container(cloud: "Connection", url: str) -> bool:
    from keystoneauth1.exceptions import ClientException  # noqa: PLC0415 - slow, and needed here

    try:
        answer = cloud.session.head(url, raise_exc=False)
    except ClientException:
        return False
    return bool(answer.ok)


def s3_endpoint(url: str) -> str:
    """The S3 endpoint beside a Swift URL of the catalog: scheme, host, and a port if unusual."""
    parts = urlsplit(url)
    if not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = parts.port in (None, DEFAULT_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{host}" if usual else f"{parts.scheme}://{host}:{parts.port}"


def regions(entry: str, service: str) -> list[str]:
    """Regions in which the entry's catalog has a service of that type, sorted."""
    with sentences(entry):
        session = connect(entry).session
        access: Any = session.auth.get_access(session)  # type: ignore[union-attr]
    catalog = access.service_catalog.get_endpoints(service_type=service, interface="public")
    return sorted({point["region"] for points in catalog.values() for point in points})


def _region(entry: str, setting: str, service: str, name: str) -> str:
    configured = region_config(entry).get_region_name() or ""
    found = regions(entry, service)
    if not found:
        raise CloudError(f"Cloud {entry!r} has no service of type {service} in its catalog.")
    wanted = setting or configured
    if wanted and wanted not in found:
        raise _miss(name, wanted, entry, f"regions for {service}", found)
    if not wanted and len(found) > 1:
        raise CloudError(
            f"{name} is missing: cloud {entry!r} has the regions {', '.join(found)} for"
            f" {service}, so name one."
        )
    return wanted or found[0]


def _machine_needs(cloud: "Connection", machine: Machine, project: str) -> str:
    """The network's id; checks that image, flavor and external network are there."""
    entry = cloud.config.name
    images = [image.name for image in cloud.image.images()]
    flavors = [flavor.name for flavor in cloud.compute.flavors()]
    external = [net.name for net in cloud.network.networks(is_router_external=True)]
    for setting, value, what, names in (
        ("image", machine.image, "images", images),
        ("flavor", machine.flavor, "flavors", flavors),
        ("externalNetwork", machine.external_network, "external networks", external),
    ):
        if value not in names:
            raise _miss(setting, value, entry, what, names)
    if images.count(machine.image) > 1:
        raise CloudError(f"Cloud {entry!r} has several images {machine.image!r}: name another.")
    return _network(cloud, machine.network, project)


def _network(cloud: "Connection", wanted: str, project: str) -> str:
    entry = cloud.config.name
    internal = _internal_networks(cloud, project)
    if wanted:
        ids = [id_ for id_, name in internal.items() if wanted in (id_, name)]
        if len(ids) != 1:
            raise _miss("network", wanted, entry, "internal networks", internal.values())
        return str(ids[0])
    found = routed_networks(cloud, project)
    if not found:
        raise CloudError(
            f"Cloud {entry!r} has no internal network with a router: make one, then set network"
            f" (it has {_listed(internal.values())})."
        )
    if len(found) > 1:
        raise CloudError(
            f"network is missing: cloud {entry!r} has the networks {_listed(found.values())} with a"
            " router, so name one."
        )
    return str(next(iter(found)))


def _internal_networks(cloud: "Connection", project: str) -> dict[str, str]:
    return {
        net.id: net.name
        for net in cloud.network.networks(is_router_external=False)
        if net.project_id == project or net.is_shared
    }


def routed_networks(cloud: "Connection", project: str) -> dict[str, str]:
    """Internal networks of the project that a router serves, id -> name."""
    routed = {
        port.network_id
        for port in cloud.network.ports()
        if str(port.device_owner).startswith(ROUTER_OWNERS)
    }
    internal = _internal_networks(cloud, project)
    return {id_: name for id_, name in internal.items() if id_ in routed}


def _miss(setting: str, value: str, entry: str, what: str, names: Iterable[str]) -> CloudError:
    return CloudError(
        f"{setting} is {value!r}, which cloud {entry!r} has not: its {what} are {_listed(names)}."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted({str(name) for name in names})) or "none"
