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
from infra.network import openings
from infra.settings import declared
from infra.settings import load as settings
from infra.settings.models import Settings

if TYPE_CHECKING:
    from openstack.connection import Connection

_STORE_SECONDS = 15
_NOT_FOUND = 404
_UNLIMITED = -1
#: Neutron gives each security group a rule for IPv4 and one for IPv6.
_EGRESS_RULES = 2


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
    stack: str, values: Mapping[str, Any], deployed: Callable[[], int | None] = lambda: None
) -> list[str]:
    """Return a sentence for each problem that would make `up` fail.

    Args:
        stack: The stack's name.
        values: Its settings.
        deployed: How many machines the stack has, None if nothing of it is deployed; otherwise
            only the quotas of further machines are checked. Called last, since the engine is slow
            to answer.
    """
    with _only_clouds_yaml():
        try:
            wanted = parse(stack, values)
            compute, database = clouds.look_up(wanted)
            machines = deployed()
            found = list(quota_shortages(wanted, compute, database, machines))
            return found + (existing_buckets(wanted, compute) if machines is None else [])
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
    settings: Settings,
    compute: Compute,
    database: DatabaseCloud | None,
    deployed: int | None = None,
) -> Iterator[str]:
    """Yield a sentence for each quota that the stack would exceed.

    Args:
        settings: The stack's.
        compute: What was looked up of its compute cloud.
        database: The same of its database cloud, None if the database exists.
        deployed: How many machines it has, None if nothing of it is deployed.

    Raises:
        CloudError: A cloud cannot be queried.
    """
    entry = settings.compute.entry
    if settings.machine.count > (deployed or 0):
        with cloud_errors(entry):
            cloud = connect(entry, compute.region)
            yield from _nova(cloud, entry, settings, deployed or 0)
            yield from _neutron(cloud, entry, settings, deployed)
    if database and deployed is None:
        entry = database.entry
        with cloud_errors(entry):
            yield from _trove(connect(entry, database.region), entry, settings.database.volume)


def _remedy(pipeline: str, role: str) -> str:
    if role == "archive":  # no setting names it
        return "remove it, or do without keepInputs"
    path = f"pipelines.{pipeline}.{role}Bucket" if pipeline else f"{role}Bucket"
    return f"set {path} to another name, or add it to adoptBuckets if it is yours"


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


def _nova(cloud: "Connection", entry: str, settings: Settings, deployed: int) -> Iterator[str]:
    name, machines = settings.machine.flavor, settings.machine.count - deployed
    flavor = next(found for found in cloud.compute.flavors() if found.name == name)
    limits = cloud.compute.get("/limits").json()["limits"]["absolute"]
    for what, limit, used, more in (
        ("instances", "maxTotalInstances", "totalInstancesUsed", machines),
        ("cores", "maxTotalCores", "totalCoresUsed", machines * flavor.vcpus),
        ("MiB of memory", "maxTotalRAMSize", "totalRAMUsed", machines * flavor.ram),
    ):
        yield from _shortage(entry, what, limits.get(limit), limits.get(used), more)


def _neutron(
    cloud: "Connection", entry: str, settings: Settings, deployed: int | None
) -> Iterator[str]:
    neutron, project = cloud.network, str(cloud.session.get_project_id())
    answer = neutron.get(f"/quotas/{project}", raise_exc=False)
    if answer.status_code >= 400:  # noqa: PLR2004 - not every cloud shows it to users
        return
    is_new, machines = deployed is None, settings.machine.count
    gets_second_group = machines > 1 >= (deployed or 0)
    groups = is_new + gets_second_group
    rules = is_new * len([*openings(settings)]) + gets_second_group + groups * _EGRESS_RULES
    for kind, what, found, more in (
        ("floatingip", "floating IPs", neutron.ips, int(is_new)),
        ("port", "ports", neutron.ports, machines - (deployed or 0)),
        ("security_group", "security groups", neutron.security_groups, groups),
        ("security_group_rule", "security group rules", neutron.security_group_rules, rules),
    ):
        used = sum(1 for _ in found(project_id=project)) if more else None
        yield from _shortage(entry, what, answer.json()["quota"].get(kind), used, more)


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
