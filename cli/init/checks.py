"""Checks before anything is created: settings, quotas, bucket names.

Without the check of quotas, a missing core would show only after the long wait for the database.
"""

import contextlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clients import clouds_yaml
from clients.connection import cloud_errors, connect
from clients.errors import InfraError
from infra import clouds
from infra.clouds import Compute, DatabaseCloud
from infra.names import Names
from infra.settings import declared
from infra.settings import load as settings
from infra.settings.models import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection

_STORE_SECONDS = 15
_NOT_FOUND = 404
_UNLIMITED = -1


def parse(stack: str, values: Mapping[str, Any]) -> Settings:
    """Return settings as the program will read them.

    Args:
        stack: The stack's name.
        values: Its settings, as its file has them.

    Raises:
        InvalidSettings: One sentence for each bad setting.
    """
    texts = declared.defaults()
    faults, secrets = [], {}
    for name, value in values.items():
        secrets[name] = isinstance(value, dict) and set(value) == {"secure"}
        if value is None:
            faults.append(f"{name} has no value: write one, or remove its line.")
        elif name in texts:
            # A secret is written encrypted: that it is set is all that can be checked here.
            texts[name] = "secret" if secrets[name] else declared.as_text(value)
    known = {*texts, *settings.named_secrets(texts["pipelines"])}
    faults += [fault for key in sorted(values) if (fault := declared.unknown(key, known))]
    flat = declared.flat_settings({name: str(value) for name, value in values.items()})
    faults += [flat] if flat else []
    return settings.parse(texts, Names.of_stack(stack).prefix, faults, secrets)


def problems(
    stack: str, values: Mapping[str, Any], is_deployed: Callable[[], bool] = lambda: False
) -> list[str]:
    """Return a sentence for each problem that would make `up` fail.

    Args:
        stack: The stack's name.
        values: Its settings.
        is_deployed: Whether the stack is deployed; then quotas and bucket names are not checked, as
            it has what it needs. Called last, since the engine is slow to answer.
    """
    with _only_clouds_yaml():
        try:
            wanted = parse(stack, values)
            compute, database = clouds.look_up(wanted)
            return [] if is_deployed() else list(_of_a_new_stack(wanted, compute, database))
        except InfraError as error:
            return str(error).splitlines()


def existing_buckets(settings: Settings, compute: Compute) -> list[str]:
    """Return a sentence for each bucket that exists although the program is to create it.

    Requests carry no keys: stores answer 404 for a free name, 403 or 200 for one that is taken. A
    store that does not answer is not reported here: BucketClaim checks again during `up`.
    """
    store = settings.store
    endpoint = store.endpoint or compute.store_endpoint
    if store.kind == "existing":
        return []
    return [
        f"Bucket {name} exists already (yours or another user's; names are shared by all users of "
        f"the store): {_remedy(pipeline, role)}."
        for (pipeline, role), name in settings.buckets(compute.project_id).items()
        if name not in store.adopted and _url_exists(f"{endpoint}/{name}")
    ]


def quota_shortages(
    settings: Settings, compute: Compute, database: DatabaseCloud | None
) -> Iterator[str]:
    """Yield a sentence for each quota that the stack would exceed.

    Raises:
        CloudError: A cloud cannot be queried.
    """
    entry = settings.compute.entry
    with cloud_errors(entry):
        cloud = connect(entry, compute.region)
        yield from _nova(cloud, entry, settings.machine.flavor)
        yield from _neutron(cloud, entry, compute.project_id)
    if database:
        entry = database.entry
        with cloud_errors(entry):
            yield from _trove(connect(entry, database.region), entry, settings.database.volume)


def _remedy(pipeline: str, role: str) -> str:
    if role == "archive":  # no setting names it
        return "remove it, or do without keepInputs"
    path = f"pipelines.{pipeline}.{role}Bucket" if pipeline else f"{role}Bucket"
    return f"set {path} to another name, or add it to adoptBuckets if it is yours"


def _of_a_new_stack(
    wanted: Settings, compute: Compute, database: DatabaseCloud | None
) -> Iterator[str]:
    yield from quota_shortages(wanted, compute, database)
    yield from existing_buckets(wanted, compute)


@contextlib.contextmanager
def _only_clouds_yaml() -> Iterator[None]:
    """Let no `OS_*` variable fill gaps of an entry, as in `cli.stacks.pulumi_stack`."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("OS_")}
    for name in set(kept) - {clouds_yaml.VARIABLE}:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def _url_exists(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - http(s), by the settings
    try:
        with urllib.request.urlopen(request, timeout=_STORE_SECONDS):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code != _NOT_FOUND
    except OSError:
        return False


def _nova(cloud: "Connection", entry: str, flavor: str) -> Iterator[str]:
    wanted = next(found for found in cloud.compute.flavors() if found.name == flavor)
    limits = cloud.compute.get("/limits").json()["limits"]["absolute"]
    for what, limit, used, more in (
        ("instances", "maxTotalInstances", "totalInstancesUsed", 1),
        ("cores", "maxTotalCores", "totalCoresUsed", wanted.vcpus),
        ("MiB of memory", "maxTotalRAMSize", "totalRAMUsed", wanted.ram),
    ):
        yield from _shortage(entry, what, limits.get(limit), limits.get(used), more)


def _neutron(cloud: "Connection", entry: str, project: str) -> Iterator[str]:
    answer = cloud.network.get(f"/quotas/{project}", raise_exc=False)
    if answer.status_code >= 400:  # noqa: PLR2004 - not every cloud shows it to users
        return
    limit = answer.json()["quota"].get("floatingip")
    used = sum(1 for _ in cloud.network.ips(project_id=project))
    yield from _shortage(entry, "floating IPs", limit, used, 1)


def _trove(cloud: "Connection", entry: str, volume: int) -> Iterator[str]:
    answer = cloud.database.get("/limits", raise_exc=False)
    if answer.status_code >= 400:  # noqa: PLR2004 - not every cloud shows it to users
        return
    limits = answer.json()["limits"]
    absolute: dict[str, Any] = next((each for each in limits if each.get("verb") == "ABSOLUTE"), {})
    instances = cloud.database.get("/instances").json()["instances"]
    sizes = [int((each.get("volume") or {}).get("size") or 0) for each in instances]
    limit = absolute.get("max_instances")
    yield from _shortage(entry, "database instances", limit, len(instances), 1)
    limit = absolute.get("max_volumes")
    yield from _shortage(entry, "GiB of database volumes", limit, sum(sizes), volume)


def _shortage(entry: str, what: str, limit: Any, used: Any, more: int) -> Iterator[str]:
    if limit is None or used is None or int(limit) == _UNLIMITED:
        return
    if int(used) + more > int(limit):
        yield (
            f"The quota of cloud '{entry}' is too small for {more} more {what}: {used} of {limit} "
            "are used, so remove something there, or ask the cloud's support for more."
        )
