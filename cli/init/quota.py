"""Whether the projects have room for the pipeline.

Asked first, since a missing core shows only after the database's long wait.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from infra.clouds import Compute, DatabaseCloud
from infra.sdk import connect, sentences
from infra.settings import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection

_UNLIMITED = -1
_REMEDY = "remove something there, or ask the cloud's support for more"


def shortages(
    settings: Settings, compute: Compute, database: DatabaseCloud | None
) -> Iterator[str]:
    """One sentence for each thing of which the quota is used up; raises CloudError."""
    entry = settings.compute.entry
    with sentences(entry):
        cloud = connect(entry, compute.region)
        yield from _nova(cloud, entry, settings.machine.flavor)
        yield from _neutron(cloud, entry, compute.project_id)
    if database:
        entry = database.entry
        with sentences(entry):
            yield from _trove(connect(entry, database.region), entry, settings.database.volume)


def _nova(cloud: "Connection", entry: str, flavor: str) -> Iterator[str]:
    wanted = next(found for found in cloud.compute.flavors() if found.name == flavor)
    limits = cloud.compute.get("/limits").json()["limits"]["absolute"]
    for what, limit, used, more in (
        ("instances", "maxTotalInstances", "totalInstancesUsed", 1),
        ("cores", "maxTotalCores", "totalCoresUsed", wanted.vcpus),
        ("MiB of memory", "maxTotalRAMSize", "totalRAMUsed", wanted.ram),
    ):
        yield from _short(entry, what, limits.get(limit), limits.get(used), more)


def _neutron(cloud: "Connection", entry: str, project: str) -> Iterator[str]:
    answer = cloud.network.get(f"/quotas/{project}", raise_exc=False)
    if answer.status_code >= 400:  # noqa: PLR2004 - not every cloud shows it to users
        return
    limit = answer.json()["quota"].get("floatingip")
    used = sum(1 for _ in cloud.network.ips(project_id=project))
    yield from _short(entry, "floating IPs", limit, used, 1)


def _trove(cloud: "Connection", entry: str, volume: int) -> Iterator[str]:
    answer = cloud.database.get("/limits", raise_exc=False)
    if answer.status_code >= 400:  # noqa: PLR2004 - not every cloud shows it to users
        return
    limits = answer.json()["limits"]
    absolute: dict[str, Any] = next((each for each in limits if each.get("verb") == "ABSOLUTE"), {})
    instances = cloud.database.get("/instances").json()["instances"]
    sizes = [int((each.get("volume") or {}).get("size") or 0) for each in instances]
    yield from _short(entry, "database instances", absolute.get("max_instances"), len(instances), 1)
    yield from _short(
        entry, "GiB of database volumes", absolute.get("max_volumes"), sum(sizes), volume
    )


def _short(entry: str, what: str, limit: Any, used: Any, more: int) -> Iterator[str]:
    if limit is None or used is None or int(limit) == _UNLIMITED:
        return
    if int(used) + more > int(limit):
        yield (
            f"Cloud '{entry}' has no room for {more} more of its {what}: {used} of {limit} are "
            f"used, so {_REMEDY}."
        )
