"""Trove's REST calls as plain functions over openstacksdk's raw adapter (`conn.database`).

openstacksdk's own `Instance` drops `access`, `addresses` and users. The API:
https://docs.openstack.org/api-ref/database/. Every function raises DatabaseError where Trove
refuses, DatabaseUnavailable where it fails, and CloudError where it cannot be queried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clients.connection import cloud_errors, fault
from clients.errors import DatabaseError, DatabaseUnavailable, NotInCloud

if TYPE_CHECKING:
    from openstack.connection import Connection

#: PostgreSQL's port; only a cloud that shares one address among instances names another.
DEFAULT_PORT = 5432


@dataclass(frozen=True)
class Access:
    """Who may reach an instance. Always sent whole, since PUT replaces both fields."""

    is_public: bool
    allowed_cidrs: tuple[str, ...]

    def body(self) -> dict[str, Any]:
        """Return it as the API takes it."""
        return {"is_public": self.is_public, "allowed_cidrs": list(self.allowed_cidrs)}

    def same_as(self, other: "Access") -> bool:
        """Compare without the order of the ranges."""
        return self.is_public == other.is_public and set(self.allowed_cidrs) == set(
            other.allowed_cidrs
        )


@dataclass(frozen=True)
class Instance:
    """A database instance as Trove shows it; `volume` in GiB, `host` "" while it has none."""

    id: str
    name: str
    status: str
    operating_status: str
    access: Access
    host: str
    port: int
    volume: int
    flavor_id: str
    version: str
    fault: str


def flavors(cloud: "Connection") -> dict[str, str]:
    """Return name -> id of the database service's flavors."""
    found = _ask(cloud, "GET", "/flavors")["flavors"]
    # `id` is null where Nova's is not a number, as it seldom is (trove/flavor/views.py).
    return {str(flavor["name"]): str(flavor.get("str_id") or flavor["id"]) for flavor in found}


def versions(cloud: "Connection", datastore: str) -> list[str]:
    """Return the names of a datastore's versions, without those that are withdrawn."""
    found = _ask(cloud, "GET", f"/datastores/{datastore}/versions")["versions"]
    return [str(version["name"]) for version in found if version.get("active", 1)]


def choose_version(wanted: str, versions: Sequence[str], entry: str) -> str:
    """Choose one of `versions`, the newest for a major: of 17.4, 17.10 and 16.8, "17" is 17.10."""
    if wanted in versions:
        return wanted
    of_major = [name for name in versions if name.startswith(f"{wanted}.")]
    if not of_major:
        raise NotInCloud("databaseVersion", wanted, entry, "PostgreSQL versions", versions)
    return max(of_major, key=version_order)


def version_order(name: str) -> list[int]:
    """Return what versions are sorted by: 17.10 follows 17.4."""
    return [int(part) if part.isdigit() else -1 for part in name.split(".")]


def find(cloud: "Connection", name: str) -> list[Instance]:
    """Return the instances of a name, which several may have."""
    found: list[Instance] = []
    path = "/instances"
    while True:
        page = _ask(cloud, "GET", path)
        found += [_instance(item) for item in page["instances"] if item.get("name") == name]
        # The link itself may say https where the API is http, so only the marker is taken.
        if not any(link.get("rel") == "next" for link in page.get("links") or ()):
            return found
        path = f"/instances?marker={page['instances'][-1]['id']}"


def get(cloud: "Connection", id_: str) -> Instance | None:
    """Return an instance, None when it is gone."""
    answer = _ask(cloud, "GET", f"/instances/{id_}", absent=True)
    return None if answer is None else _instance(answer["instance"])


def create(
    cloud: "Connection",
    *,
    name: str,
    flavor_id: str,
    volume: int,
    datastore: str,
    version: str,
    database: str,
    users: Sequence[Mapping[str, Any]],
    access: Access,
) -> str:
    """Order an instance; return its id as soon as Trove has accepted the order."""
    # A user is granted ALL on the databases that it lists. Ranges are always sent: upstream, an
    # instance without any is open to everybody. Not every cloud has volume types: only a size.
    instance = {
        "name": name,
        "flavorRef": flavor_id,
        "volume": {"size": volume},
        "datastore": {"type": datastore, "version": version},
        "databases": [{"name": database}],
        "users": [dict(user) for user in users],
        "access": access.body(),
    }
    return str(_ask(cloud, "POST", "/instances", {"instance": instance})["instance"]["id"])


def set_access(cloud: "Connection", id_: str, access: Access) -> None:
    """Ask for other ranges: one attribute a PUT, with both fields, or one would be removed."""
    _ask(cloud, "PUT", f"/instances/{id_}", {"instance": {"access": access.body()}})


def grow_volume(cloud: "Connection", id_: str, size: int) -> None:
    """Ask for a bigger volume; `size` in GiB."""
    _ask(cloud, "POST", f"/instances/{id_}/action", {"resize": {"volume": {"size": size}}})


def no_shrinking(wanted: int, current: int) -> str:
    """Return the sentence about a volume that would shrink; sizes in GiB."""
    return (
        f"databaseVolumeSize is {wanted} GiB but the volume has {current} GiB, and volumes only"
        f" grow: set {current} or more."
    )


def set_flavor(cloud: "Connection", id_: str, flavor_id: str) -> None:
    """Ask for another flavor; the database is down while it changes."""
    _ask(cloud, "POST", f"/instances/{id_}/action", {"resize": {"flavorRef": flavor_id}})


def set_passwords(cloud: "Connection", id_: str, passwords: Mapping[str, str]) -> None:
    """Set passwords of the instance's users, by name."""
    users = [{"name": name, "password": password} for name, password in passwords.items()]
    _ask(cloud, "PUT", f"/instances/{id_}/users", {"users": users})


def delete(cloud: "Connection", id_: str) -> None:
    """Ask for an instance's deletion; one that is gone already is ignored."""
    _ask(cloud, "DELETE", f"/instances/{id_}", absent=True)


def _instance(item: Mapping[str, Any]) -> Instance:
    access = item.get("access") or {}
    addresses = item.get("addresses") or []
    public = [str(a["address"]) for a in addresses if a.get("type") == "public"]
    # A DNS name, where the cloud makes one, replaces the addresses.
    host = str(item.get("hostname") or (public[0] if public else ""))
    return Instance(
        id=str(item["id"]),
        name=str(item.get("name", "")),
        status=str(item.get("status", "")),
        operating_status=str(item.get("operating_status", "")),
        access=Access(
            bool(access.get("is_public", False)), tuple(access.get("allowed_cidrs") or ())
        ),
        host=host,
        port=int(item.get("port") or DEFAULT_PORT),
        volume=int((item.get("volume") or {}).get("size") or 0),
        flavor_id=str((item.get("flavor") or {}).get("id", "")),
        version=str((item.get("datastore") or {}).get("version", "")),
        fault=str((item.get("fault") or {}).get("message", "")),
    )


def _ask(
    cloud: "Connection", method: str, path: str, body: Any = None, *, absent: bool = False
) -> Any:
    """Return the answer's JSON, None for an empty one, and for a 404 where `absent` allows it."""
    entry = cloud.config.name
    with cloud_errors(entry):
        answer = cloud.database.request(path, method, json=body, raise_exc=False)
    if answer.status_code == 404 and absent:  # noqa: PLR2004
        return None
    if answer.status_code >= 400:  # noqa: PLR2004
        failed = answer.status_code >= 500  # noqa: PLR2004
        raise (DatabaseUnavailable if failed else DatabaseError)(
            f"The database service of cloud {entry!r} {'fails at' if failed else 'refuses'}"
            f" {method} {path.partition('?')[0]} ({answer.status_code}):"
            f" {fault(answer.text) or answer.reason}"
            f"{'; run the same command again later.' if failed else ''}"
        )
    return answer.json() if answer.content else None
