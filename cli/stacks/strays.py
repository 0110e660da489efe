"""What the clouds have under a stack's names that its state does not know.

A state that was lost leaves all of it, an `up` that was killed between a request and its answer at
most one thing of each kind. Nothing is ever adopted silently.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from infra.errors import CloudError
from infra.names import Names
from infra.providers import trove, waiting
from infra.sdk import connect, sentences

if TYPE_CHECKING:
    from openstack.connection import Connection

_GONE_SECONDS = 120


@dataclass(frozen=True)
class Stray:
    """One thing on a cloud; `remove` deletes it, and for a database waits until it has gone."""

    kind: str
    name: str
    id: str
    cloud: str
    remove: Callable[[], Any]


def find(stack: str, settings: Mapping[str, Any], known: Collection[str]) -> list[Stray]:
    """All of them, in the order in which they can be removed; raises CloudError.

    `settings` are the stack's; `known` are the ids of its state.
    """
    names = Names.of_stack(stack)
    entry = str(settings.get("computeCloud", ""))
    with sentences(entry):
        found = list(_compute(connect(entry, str(settings.get("computeRegion", ""))), names))
    if settings.get("databaseCloud"):
        entry = str(settings["databaseCloud"])
        with sentences(entry):
            found += _database(connect(entry, str(settings.get("databaseRegion", ""))), names)
    return [stray for stray in found if stray.id not in known]


def remove(stray: Stray) -> None:
    """Delete one, again while the cloud says that something still uses it; raises CloudError."""
    deadline = time.monotonic() + _GONE_SECONDS
    while True:
        try:
            with sentences(stray.cloud):
                stray.remove()
        except CloudError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)
        else:
            return


def _compute(cloud: "Connection", names: Names) -> Iterator[Stray]:
    entry, nova, neutron = cloud.config.name, cloud.compute, cloud.network
    project = str(cloud.session.get_project_id())

    def stray(kind: str, item: Any, delete: Callable[[Any], Any]) -> Stray:
        name = str(getattr(item, "floating_ip_address", None) or item.name)
        return Stray(kind, name, str(item.id), entry, partial(delete, item))

    for server in nova.servers():
        if server.name == names.machine:
            yield stray("machine", server, nova.delete_server)
    for ip in neutron.ips(project_id=project):
        if ip.description == names.floating_ip_description:
            yield stray("floating IP", ip, neutron.delete_ip)
    for port in neutron.ports(project_id=project):
        if port.name == names.port:
            yield stray("port", port, neutron.delete_port)
    for group in neutron.security_groups(project_id=project):
        if group.name == names.security_group:
            yield stray("security group", group, neutron.delete_security_group)
    for key in nova.keypairs():
        if key.name == names.keypair:
            yield Stray("key pair", key.name, key.name, entry, partial(nova.delete_keypair, key))


def _database(cloud: "Connection", names: Names) -> Iterator[Stray]:
    for instance in trove.find(cloud, names.database):
        id_ = instance.id
        yield Stray(
            "database", instance.name, id_, cloud.config.name, partial(waiting.remove, cloud, id_)
        )
