"""Look-ups on the clouds, done at preview: a typo fails before the database's long wait."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi_openstack as openstack

from clients import clouds_yaml, credential, machines, trove
from clients.catalog import choose_region, is_container, s3_endpoint
from clients.connection import cloud_errors, connect
from clients.errors import CloudError, NotInCloud
from clients.networks import choose_network, router_addresses
from infra.settings.models import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection

DATASTORE = "postgresql"


@dataclass(frozen=True)
class Compute:
    """The compute cloud's part of the look-ups."""

    region: str
    project_id: str
    network_id: str
    store_endpoint: str  # for S3; "" where the cloud has no object store
    own_buckets: frozenset[str] = frozenset()  # of the buckets to adopt: this project's own
    routers: tuple[str, ...] = ()  # where other machines than the first appear from


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
    return openstack.Provider("compute-cloud", cloud=settings.compute.entry, region=found.region)


def _look_up_compute(settings: Settings) -> Compute:
    entry = settings.compute.entry
    with cloud_errors(entry):
        region = choose_region(entry, "compute", settings.compute.region, "computeRegion")
        cloud = connect(entry, region)
        store = settings.store
        credential.check(cloud, makes_keys=store.kind == "openstack" and not store.access_key)
        project = str(cloud.session.get_project_id())
        _check_machine(cloud, settings)
        network = choose_network(cloud, settings.machine.network, project)
        count = settings.machine.count
        routers = router_addresses(cloud, network, count) if count > 1 else ()
        endpoint = cloud.session.get_endpoint(
            service_type="object-store", region_name=region, interface="public"
        )
    if settings.store.kind == "openstack" and not endpoint:
        raise CloudError(
            f"Cloud {entry!r} has no object store in region {region}: set objectStore to aws or"
            " existing, with its endpoint and keys."
        )
    own = _own_buckets(cloud, endpoint or "", settings, project)
    return Compute(region, project, network, s3_endpoint(endpoint or ""), own, routers)


def _look_up_database(settings: Settings) -> DatabaseCloud:
    entry = settings.database_cloud.entry
    wanted = settings.database
    with cloud_errors(entry):
        region = choose_region(entry, "database", settings.database_cloud.region, "databaseRegion")
        cloud = connect(entry, region)
        credential.check(cloud, makes_keys=False)
        flavors = trove.flavors(cloud)
        versions = trove.versions(cloud, DATASTORE)
    if wanted.flavor not in flavors:
        raise NotInCloud("databaseFlavor", wanted.flavor, entry, "flavors", flavors)
    version = trove.choose_version(wanted.version, versions, entry)
    return DatabaseCloud(entry, region, flavors[wanted.flavor], version)


def _own_buckets(
    cloud: "Connection", swift: str, settings: Settings, project: str
) -> frozenset[str]:
    """Return those of the buckets to adopt that Swift shows: the stack may have made them."""
    names = set(settings.buckets(project).values())
    if settings.store.kind != "existing":
        names &= set(settings.store.adopted)
    return frozenset(name for name in names if swift and is_container(cloud, f"{swift}/{name}"))


def _check_machine(cloud: "Connection", settings: Settings) -> None:
    """Check that image, flavor and external network exist, and that limits fit the flavor."""
    machine = settings.machine
    memory = machines.check(cloud, machine.image, machine.flavor, machine.external_network)
    faults = [
        f"pipelines.{name}.limits.memoryMb is {each.limits.memory_mb}, but flavor"
        f" {machine.flavor} has {memory} MB: set it to less, or choose a larger flavor."
        for name, each in settings.pipelines.items()
        if (each.limits.memory_mb or 0) > memory
    ]
    if faults:
        raise CloudError("\n".join(faults))
