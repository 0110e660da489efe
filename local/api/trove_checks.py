"""What Trove's API, and Pukki's policy on top, refuse in a request's body.

openstack/trove `trove/common/apischema.py` and `trove/extensions/mysql/common.py`.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from local.api.http import BAD_REQUEST, OVER_LIMIT, ApiError

CIDR = re.compile(r"^([0-9]{1,3}\.){3}[0-9]{1,3}(/([0-9]|[1-2][0-9]|3[0-2]))?$")
WIDEST_PREFIX = 22
"""Pukki refuses wider ones."""
MAX_VOLUME_GB = 200


def refuse(message: str) -> ApiError:
    """A 400."""
    return ApiError(BAD_REQUEST, message)


def instance(body: dict[str, Any]) -> None:
    """A create's body, before any look-up."""
    if "name" not in body:
        raise refuse("Validation error: instance 'name' is a required property")
    name = body["name"]
    if not isinstance(name, str) or not re.search(r"[0-9a-zA-Z]", name) or len(name) > 255:  # noqa: PLR2004
        raise refuse(
            f"Validation error: instance['name'] '{name}' does not match '^.*[0-9a-zA-Z]+.*$'"
        )
    if not isinstance(body.get("flavorRef"), str):
        raise refuse("Validation error: instance: 'flavorRef' is a required property.")
    if "access" in body:
        access(body["access"])
    databases = names(body.get("databases", []), "databases")
    if len(set(databases)) < len(databases):
        raise refuse(
            "Two or more databases share the same name in the initial databases list. Please "
            "correct the names or remove the duplicate entries."
        )
    users(body.get("users", []), databases)
    nics(body.get("nics", []))


def volume_size(volume: object) -> int:
    """GiB of a `volume`; only the size is needed."""
    size = volume.get("size") if isinstance(volume, dict) else None
    if size is None:
        raise refuse("Volume size was not specified.")
    if isinstance(size, bool) or not re.fullmatch(r"[1-9][0-9]*", str(size)):
        raise refuse("Validation error: instance['volume']['size'] is no positive integer.")
    if int(str(size)) > MAX_VOLUME_GB:
        raise ApiError(
            OVER_LIMIT,
            f"Volume 'size' cannot exceed maximum of {MAX_VOLUME_GB} GB, {size} cannot be "
            "accepted.",
        )
    return int(str(size))


def access(value: object) -> None:
    """Who may reach the database: shapes only; what no firewall takes ends the build in ERROR."""
    if not isinstance(value, dict):
        raise refuse(f"Validation error: instance['access'] {value!r} is not of type 'object'")
    if not isinstance(value.get("is_public", False), bool):
        raise refuse("Validation error: instance['access']['is_public'] is not of type 'boolean'.")
    cidrs = value.get("allowed_cidrs", [])
    place = "instance['access']['allowed_cidrs']"
    if not isinstance(cidrs, list):
        raise refuse(f"Validation error: {place} {cidrs!r} is not of type 'array'")
    for at, cidr in enumerate(cidrs):
        if not isinstance(cidr, str) or not CIDR.match(cidr):
            raise refuse(
                f"Validation error: {place}[{at}] '{cidr}' does not match '{CIDR.pattern}'."
            )
    if len(set(cidrs)) < len(cidrs):
        raise refuse(f"Validation error: {place} {cidrs} has non-unique elements.")
    for cidr in cidrs:
        if firewall_takes(cidr) and ipaddress.ip_interface(cidr).network.prefixlen < WIDEST_PREFIX:
            raise refuse(f"CIDR {cidr} is wider than /{WIDEST_PREFIX}, which is not allowed.")


def firewall_takes(cidr: str) -> bool:
    """Whether a security group's rule can be made of it."""
    try:
        ipaddress.IPv4Interface(cidr)
    except ValueError:
        return False
    return True


def names(entries: object, what: str) -> list[str]:
    """The names of a list of databases or users."""
    if not isinstance(entries, list):
        raise refuse(f"Validation error: {what} is not of type 'array'.")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise refuse(f"Validation error: {what}: 'name' is a required property.")
    return [entry["name"] for entry in entries]


def users(entries: object, databases: Iterable[str] | None = None) -> None:
    """Users to be made; `databases` are those that there will be (None: not known here)."""
    found = names(entries, "users")
    if len(set(found)) < len(found):
        raise refuse(
            "Two or more users share the same name and host in the initial users list. Please "
            "correct the names or remove the duplicate entries."
        )
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry.get("password"), str) or not entry["password"]:
            raise refuse("Validation error: users: 'password' is a required property.")
        for database in names(entry.get("databases", []), "databases"):
            if databases is not None and database not in databases:
                raise refuse(
                    f"The request indicates that user {entry['name']} should have access to "
                    f"database {database}, but database {database} is not included in the initial "
                    "databases list."
                )


def nics(entries: object) -> None:
    """At most one network."""
    if not isinstance(entries, list) or len(entries) > 1:
        raise refuse("Validation error: instance['nics'] is too long.")
    for nic in entries:
        if not isinstance(nic, dict) or not {"network_id", "net-id", "subnet_id"} & set(nic):
            raise refuse("Network or subnet not provided.")
