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
RESERVED_USERS = {"postgres", "root", "os_admin"}


def refuse(message: str) -> ApiError:
    """A 400."""
    return ApiError(BAD_REQUEST, message)


def instance(body: dict[str, Any]) -> None:
    """A create's body, before any look-up."""
    name = body.get("name")
    if not isinstance(name, str) or not re.search(r"[0-9a-zA-Z]", name) or len(name) > 255:  # noqa: PLR2004
        raise refuse("Validation error: instance['name'] is missing or empty.")
    if not isinstance(body.get("flavorRef"), str):
        raise refuse("Validation error: instance: 'flavorRef' is a required property.")
    if "access" in body:
        access(body["access"])
    databases = names(body.get("databases", []), "databases")
    if len(set(databases)) < len(databases):
        raise refuse("Databases are not unique.")
    users(body.get("users", []), databases)
    nics(body.get("nics", []))


def volume_size(volume: object) -> int:
    """GiB of a `volume`; only the size is needed."""
    size = volume.get("size") if isinstance(volume, dict) else None
    if isinstance(size, bool) or not re.fullmatch(r"[1-9][0-9]*", str(size)):
        raise refuse("Validation error: instance['volume']['size'] is no positive integer.")
    if int(str(size)) > MAX_VOLUME_GB:
        raise ApiError(OVER_LIMIT, "Instance volume quota exceeded.")
    return int(str(size))


def access(value: object) -> None:
    """Who may reach the database."""
    if not isinstance(value, dict) or not set(value) <= {"is_public", "allowed_cidrs"}:
        raise refuse("Validation error: instance['access'] has is_public and allowed_cidrs.")
    if not isinstance(value.get("is_public", False), bool):
        raise refuse("Validation error: instance['access']['is_public'] is not of type 'boolean'.")
    cidrs = value.get("allowed_cidrs", [])
    place = "instance['access']['allowed_cidrs']"
    if not isinstance(cidrs, list):
        raise refuse(f"Validation error: {place} is not of type 'array'.")
    for at, cidr in enumerate(cidrs):
        if not isinstance(cidr, str) or not CIDR.match(cidr):
            raise refuse(
                f"Validation error: {place}[{at}] '{cidr}' does not match '{CIDR.pattern}'."
            )
    if len(set(cidrs)) < len(cidrs):
        raise refuse(f"Validation error: {place} {cidrs} has non-unique elements.")
    for cidr in cidrs:
        try:
            network = ipaddress.IPv4Network(cidr, strict=False)
        except ValueError:
            raise refuse(f"Invalid CIDR {cidr}.") from None
        if network.prefixlen < WIDEST_PREFIX:
            raise refuse(f"CIDR {cidr} is wider than /{WIDEST_PREFIX}, which is not allowed.")


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
        raise refuse("Users are not unique.")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry.get("password"), str) or not entry["password"]:
            raise refuse("Validation error: users: 'password' is a required property.")
        if entry["name"] in RESERVED_USERS:
            raise refuse(f"User {entry['name']} cannot be used: it is reserved.")
        for database in names(entry.get("databases", []), "databases"):
            if databases is not None and database not in databases:
                raise refuse(f"Database {database} is not in the initial databases list.")


def nics(entries: object) -> None:
    """At most one network."""
    if not isinstance(entries, list) or len(entries) > 1:
        raise refuse("Validation error: instance['nics'] is too long.")
    for nic in entries:
        if not isinstance(nic, dict) or not {"network_id", "net-id", "subnet_id"} & set(nic):
            raise refuse("Network or subnet not provided.")
