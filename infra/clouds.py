"""Look-ups on the clouds, done at preview: a typo fails before the database's long wait."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pulumi_openstack as openstack

from clients import clouds_yaml, trove
from clients.connection import cloud_errors, connect, region_config
from clients.errors import CloudError
from infra import credential
from infra.settings.models import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection

DATASTORE = "postgresql"
#: Owners of a router's port on a network (neutron-lib, DEVICE_OWNER_*): plain, distributed, HA.
ROUTER_OWNERS = ("network:router_interface", "network:ha_router_replicated_interface")
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Compute:
    """The compute cloud's part of the look-ups."""

    region: str
    project_id: str
    network_id: str
    store_endpoint: str  # for S3; "" where the cloud has no object store
    own_buckets: frozenset[str] = frozenset()  # of the buckets to adopt: this project's own


@dataclass(frozen=True)
class DatabaseCloud:
    """The database cloud's part of the look-ups."""

    entry: str
    region: str
    flavor_id: str
    version: str


def look_up(settings: Settings) -> tuple[Compute, DatabaseCloud | None]:
    """Look up what the settings name; CloudError covers both clouds; None: existing database."""
    errors: list[str] = []
    compute, database = None, None
    try:
        compute = _look_up_compute(settings)
    except CloudError as error:
        errors.append(str(error))
    try:
        database = None if settings.existing_database else _look_up_database(settings)
    except CloudError as error:
        errors.append(str(error))
    if errors or compute is None:
        raise CloudError("\n".join(errors))
    return compute, database


def make_provider(settings: Settings, found: Compute) -> openstack.Provider:
    """Make the one explicit OpenStack provider; it reads clouds.yaml, so no secret is stored."""
    clouds_yaml.check_provider_finds(clouds_yaml.find())
    return openstack.Provider(
        "compute-cloud",
        cloud=settings.compute.entry,
        region=found.region,
    )


def _look_up_compute(settings: Settings) -> Compute:
    entry = settings.compute.entry
    with cloud_errors(entry):
        region = _region(entry, settings.compute.region, "compute", "computeRegion")
        cloud = connect(entry, region)
        store = settings.store
        credential.check(cloud, makes_keys=store.kind == "openstack" and not store.access_key)
        project = str(cloud.session.get_project_id())
        _check_machine(cloud, settings)
        network = _network(cloud, settings.machine.network, project)
        endpoint = cloud.session.get_endpoint(
            service_type="object-store", region_name=region, interface="public"
        )
    if settings.store.kind == "openstack" and not endpoint:
        raise CloudError(
            f"Cloud {entry!r} has no object store in region {region}: set objectStore to aws or"
            " existing, with its endpoint and keys."
        )
    own = _own_buckets(cloud, endpoint or "", settings, project)
    return Compute(region, project, network, s3_endpoint(endpoint or ""), own)


def _look_up_database(settings: Settings) -> DatabaseCloud:
    entry = settings.database_cloud.entry
    wanted = settings.database
    with cloud_errors(entry):
        region = _region(entry, settings.database_cloud.region, "database", "databaseRegion")
        cloud = connect(entry, region)
        credential.check(cloud, makes_keys=False)
        flavors = trove.flavors(cloud)
        versions = trove.versions(cloud, DATASTORE)
    if wanted.flavor not in flavors:
        raise CloudError(_not_found("databaseFlavor", wanted.flavor, entry, "flavors", flavors))
    version = choose_version(wanted.version, versions, entry)
    return DatabaseCloud(entry, region, flavors[wanted.flavor], version)


def choose_version(wanted: str, versions: Sequence[str], entry: str) -> str:
    """Choose one of `versions`, the newest for a major: of 17.4, 17.10 and 16.8, "17" is 17.10."""
    if wanted in versions:
        return wanted
    of_major = [name for name in versions if name.startswith(f"{wanted}.")]
    if not of_major:
        raise CloudError(
            _not_found("databaseVersion", wanted, entry, "PostgreSQL versions", versions)
        )
    return max(of_major, key=_numbers)


def _numbers(name: str) -> list[int]:
    return [int(part) if part.isdigit() else -1 for part in name.split(".")]


def _own_buckets(
    cloud: "Connection", swift: str, settings: Settings, project: str
) -> frozenset[str]:
    """Return those of the buckets to adopt that Swift shows: the stack may have made them."""
    names = set(settings.buckets(project).values())
    if settings.store.kind != "existing":
        names &= set(settings.store.adopted)
    return frozenset(name for name in names if swift and _is_container(cloud, f"{swift}/{name}"))


def _is_container(cloud: "Connection", url: str) -> bool:
    from keystoneauth1.exceptions import ClientException  # noqa: PLC0415 - slow, and needed here

    try:
        answer = cloud.session.head(url, raise_exc=False)
    except ClientException:
        return False
    return bool(answer.ok)


def s3_endpoint(url: str) -> str:
    """Return the S3 endpoint beside a Swift URL: scheme, host, and the port if it is unusual."""
    parts = urlsplit(url)
    if not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = parts.port in (None, DEFAULT_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{host}" if usual else f"{parts.scheme}://{host}:{parts.port}"


def list_regions(entry: str, service: str) -> list[str]:
    """Return the regions in which an entry's catalog has a service of this type, sorted."""
    with cloud_errors(entry):
        session = connect(entry).session
        access: Any = session.auth.get_access(session)  # type: ignore[union-attr]
    catalog = access.service_catalog.get_endpoints(service_type=service, interface="public")
    return sorted({point["region"] for points in catalog.values() for point in points})


def _region(entry: str, setting: str, service: str, name: str) -> str:
    configured = region_config(entry).get_region_name() or ""
    found = list_regions(entry, service)
    if not found:
        raise CloudError(f"Cloud {entry!r} has no service of type {service} in its catalog.")
    wanted = setting or configured
    if wanted and wanted not in found:
        raise CloudError(_not_found(name, wanted, entry, f"regions for {service}", found))
    if not wanted and len(found) > 1:
        raise CloudError(
            f"{name} is missing: cloud {entry!r} has the regions {', '.join(found)} for"
            f" {service}, so name one."
        )
    return wanted or found[0]


def _check_machine(cloud: "Connection", settings: Settings) -> None:
    """Check that image, flavor and external network exist, and that limits fit the flavor."""
    entry, machine = cloud.config.name, settings.machine
    images = [image.name for image in cloud.image.images()]
    flavors = {flavor.name: int(flavor.ram) for flavor in cloud.compute.flavors()}
    external = [net.name for net in cloud.network.networks(is_router_external=True)]
    for setting, value, what, names in (
        ("image", machine.image, "images", images),
        ("flavor", machine.flavor, "flavors", flavors),
        ("externalNetwork", machine.external_network, "external networks", external),
    ):
        if value not in names:
            raise CloudError(_not_found(setting, value, entry, what, names))
    if images.count(machine.image) > 1:
        raise CloudError(f"Cloud {entry!r} has several images {machine.image!r}: name another.")
    memory = flavors[machine.flavor]
    faults = [
        f"pipelines.{name}.limits.memoryMb is {each.limits.memory_mb}, but flavor"
        f" {machine.flavor} has {memory} MB: set it to less, or choose a larger flavor."
        for name, each in settings.pipelines.items()
        if (each.limits.memory_mb or 0) > memory
    ]
    if faults:
        raise CloudError("\n".join(faults))


def _network(cloud: "Connection", wanted: str, project: str) -> str:
    """Return the id of the internal network: the one that is wanted, or the only routed one."""
    entry = cloud.config.name
    internal = _internal_networks(cloud, project)
    if wanted:
        ids = [id_ for id_, name in internal.items() if wanted in (id_, name)]
        if len(ids) != 1:
            raise CloudError(
                _not_found("network", wanted, entry, "internal networks", internal.values())
            )
        return str(ids[0])
    found = list_routed_networks(cloud, project)
    if not found:
        raise CloudError(
            f"Cloud {entry!r} has no internal network with a router: create one, then set network"
            f" (available internal networks: {_join(internal.values())})."
        )
    if len(found) > 1:
        raise CloudError(
            f"network is missing: cloud {entry!r} has the networks {_join(found.values())} with a"
            " router, so name one."
        )
    return str(next(iter(found)))


def _internal_networks(cloud: "Connection", project: str) -> dict[str, str]:
    return {
        net.id: net.name
        for net in cloud.network.networks(is_router_external=False)
        if net.project_id == project or net.is_shared
    }


def list_routed_networks(cloud: "Connection", project: str) -> dict[str, str]:
    """Return id -> name of the project's internal networks that have a router."""
    routed = {
        port.network_id
        for port in cloud.network.ports()
        if str(port.device_owner).startswith(ROUTER_OWNERS)
    }
    internal = _internal_networks(cloud, project)
    return {id_: name for id_, name in internal.items() if id_ in routed}


def _not_found(setting: str, value: str, entry: str, what: str, names: Iterable[str]) -> str:
    available = f"available {what}: {_join(names)}"
    return f"{setting} is {value!r}, not found in cloud {entry!r}; {available}."


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted({str(name) for name in names})) or "none"
