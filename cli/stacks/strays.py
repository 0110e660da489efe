"""What the clouds have under a stack's names that its state does not know.

A state that was lost leaves all of it, an `up` that was killed between a request and its answer at
most one thing of each kind. Nothing is ever adopted silently.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cli.stacks.stack import PROJECT
from infra.errors import CloudError
from infra.sdk import connect, sentences
from infra.trove import client as trove
from infra.trove import waiting

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
    prefix = f"{PROJECT}-{stack}"
    entry = str(settings.get("computeCloud", ""))
    with sentences(entry):
        found = list(_compute(connect(entry, str(settings.get("computeRegion", ""))), prefix))
    if settings.get("databaseCloud"):
        entry = str(settings["databaseCloud"])
        with sentences(entry):
            found += _database(connect(entry, str(settings.get("databaseRegion", ""))), prefix)
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


def _compute(cloud: "Connection", prefix: str) -> Iterator[Stray]:
    entry, nova, neutron = cloud.config.name, cloud.compute, cloud.network
    project = str(cloud.session.get_project_id())

    def stray(kind: str, item: Any, delete: Callable[[Any], Any]) -> Stray:
        name = str(getattr(item, "floating_ip_address", None) or item.name)
        return Stray(kind, name, str(item.id), entry, partial(delete, item))

    for server in nova.servers():
        if server.name == f"{prefix}-vm":
            yield stray("machine", server, nova.delete_server)
    for ip in neutron.ips(project_id=project):
        if ip.description == prefix:
            yield stray("floating IP", ip, neutron.delete_ip)
    for port in neutron.ports(project_id=project):
        if port.name == f"{prefix}-port":
            yield stray("port", port, neutron.delete_port)
    for group in neutron.security_groups(project_id=project):
        if group.name == f"{prefix}-operators":
            yield stray("security group", group, neutron.delete_security_group)
    for key in nova.keypairs():
        if key.name == f"{prefix}-operator":
            yield Stray("key pair", key.name, key.name, entry, partial(nova.delete_keypair, key))


def _database(cloud: "Connection", prefix: str) -> Iterator[Stray]:
    for instance in trove.find(cloud, f"{prefix}-db"):
        id_ = instance.id
        yield Stray(
            "database", instance.name, id_, cloud.config.name, partial(waiting.remove, cloud, id_)
        )
