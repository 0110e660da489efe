"""Resources that carry a stack's names on the clouds but are not in its state.

A lost state leaves all of them, an `up` that was killed between a request and its response at most
one of each kind. Nothing is ever adopted silently.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError
from cli.stacks import backend, registry
from clients import readiness, trove
from clients.connection import cloud_errors, connect
from clients.errors import CloudError
from infra.names import GROUP_ROLES, MACHINE_NUMBERS, Names

if TYPE_CHECKING:
    from openstack.connection import Connection

_GONE_SECONDS = 120
_OK = 200


@dataclass(frozen=True)
class Stray:
    """A resource on a cloud.

    Attributes:
        kind: "machine", "floating IP", "port", "security group", "key pair" or "database".
        name: Its name; a floating IP's address.
        id: Its id at the cloud.
        cloud: The entry of clouds.yaml.
        remove: Deletes it; for a database, waits until it is gone.
    """

    kind: str
    name: str
    id: str
    cloud: str
    remove: Callable[[], Any]


def find(stack: str, settings: Mapping[str, Any], known: Collection[str]) -> list[Stray]:
    """Return the strays of a stack in the order in which they can be deleted.

    Args:
        stack: The stack's name.
        settings: The stack's settings.
        known: Ids of the resources in its state.

    Raises:
        CloudError: A cloud cannot be queried.
    """
    names = Names.of_stack(stack)
    entry = str(settings.get("computeCloud", ""))
    with cloud_errors(entry):
        found = list(_compute(connect(entry, str(settings.get("computeRegion", ""))), names))
    if settings.get("databaseCloud"):
        entry = str(settings["databaseCloud"])
        with cloud_errors(entry):
            found += _database(connect(entry, str(settings.get("databaseRegion", ""))), names)
    return [stray for stray in found if stray.id not in known]


def remove(stray: Stray) -> None:
    """Delete a stray, retrying for two minutes while the cloud says that it is in use.

    Raises:
        CloudError: The cloud refuses.
    """
    deadline = time.monotonic() + _GONE_SECONDS
    while True:
        try:
            with cloud_errors(stray.cloud):
                stray.remove()
        except CloudError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)
        else:
            return


def unclaimed_keys(settings: Mapping[str, Any], known: Collection[str]) -> str:
    """Return a warning about access keys (EC2 credentials) that no known stack owns, or "".

    Keys have no name, and a person's own, made for s3cmd or rclone, look the same: they are
    listed, never deleted.

    Args:
        settings: The stack's settings.
        known: Ids of the resources in its state; an access key is one.

    Raises:
        CloudError: The cloud cannot be queried.
    """
    if settings.get("objectStore", "openstack") != "openstack" or settings.get("s3AccessKey"):
        return ""
    entry = str(settings.get("computeCloud", ""))
    with cloud_errors(entry):
        session = connect(entry, str(settings.get("computeRegion", ""))).session
        project, user = session.get_project_id(), session.get_user_id()
        response = session.get(
            f"/users/{user}/credentials/OS-EC2",
            endpoint_filter={"service_type": "identity", "interface": "public", "version": (3, 0)},
            raise_exc=False,
        )
    if response.status_code != _OK:  # newer Keystones hide them from application credentials
        return ""
    found = [each for each in response.json()["credentials"] if each["tenant_id"] == project]
    claimed = {*known, *_ids_in_known_states()}
    left = [str(each["access"]) for each in found if each["access"] not in claimed]
    if not left:
        return ""
    return (
        f"Cloud '{entry}' also has access keys of the object store that no stack on this computer "
        f"owns: {', '.join(left)}. Keys have no name, so they may be left over from a lost state "
        "or be in use by you or a colleague: delete one that is certainly unused with "
        f"'openstack --os-cloud {entry} ec2 credentials delete KEY'."
    )


def _ids_in_known_states() -> Iterator[str]:
    """Yield the ids in state files on this computer; other backends are not queried."""
    for stack in registry.known():
        try:
            found = backend.resources(registry.load(stack).backend, stack)
        except (OSError, ValueError, CommandError):
            continue
        yield from (str(each.get("id", "")) for each in found)


def _compute(cloud: "Connection", names: Names) -> Iterator[Stray]:
    entry, nova, neutron = cloud.config.name, cloud.compute, cloud.network
    project = str(cloud.session.get_project_id())
    machines = set(map(names.machine, MACHINE_NUMBERS))
    ports = set(map(names.port, MACHINE_NUMBERS))

    def stray(kind: str, item: Any, delete: Callable[[Any], Any]) -> Stray:
        name = str(getattr(item, "floating_ip_address", None) or item.name)
        return Stray(kind, name, str(item.id), entry, partial(delete, item))

    for server in nova.servers():
        if server.name in machines:
            yield stray("machine", server, nova.delete_server)
    for ip in neutron.ips(project_id=project):
        if ip.description == names.floating_ip_description:
            yield stray("floating IP", ip, neutron.delete_ip)
    for port in neutron.ports(project_id=project):
        if port.name in ports:
            yield stray("port", port, neutron.delete_port)
    for group in neutron.security_groups(project_id=project):
        if group.name in map(names.security_group, GROUP_ROLES):
            yield stray("security group", group, neutron.delete_security_group)
    for key in nova.keypairs():
        if key.name == names.keypair:
            yield Stray("key pair", key.name, key.name, entry, partial(nova.delete_keypair, key))


def _database(cloud: "Connection", names: Names) -> Iterator[Stray]:
    for instance in trove.find(cloud, names.database):
        id_ = instance.id
        yield Stray(
            "database",
            instance.name,
            id_,
            cloud.config.name,
            partial(readiness.delete_and_wait, cloud, id_),
        )
