"""Trove v1.0: PostgreSQL instances with access rules, users and databases.

https://docs.openstack.org/api-ref/database/, with what real Trove 26 answers and Pukki's policy on
top. A view has one field more than a real one: `port`, since not every server here can listen on
5432. What happens behind the API is in `trove_tasks`.
"""

import ipaddress
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from local import postgres
from local.api import flavors
from local.api.http import (
    BAD_REQUEST,
    NOT_FOUND,
    OVER_LIMIT,
    UNPROCESSABLE,
    Request,
    Response,
    Route,
)
from local.api.quotas import Quotas
from local.api.state import DATABASES, REGION, CloudState, Record, new_id, now
from local.api.trove_tasks import InstanceTasks, is_firewall_cidr
from local.errors import ApiError

VERSIONS = ("17.5", "16.9")
CIDR = re.compile(r"^([0-9]{1,3}\.){3}[0-9]{1,3}(/([0-9]|[1-2][0-9]|3[0-2]))?$")
WIDEST_PREFIX = 22
"""Pukki refuses wider ranges."""
MAX_VOLUME_GB = 200
_PRIVATE_ADDRESS = "192.168.1.5"


class Trove:
    """The service below /database."""

    def __init__(self, state: CloudState) -> None:
        self._state = state
        self._tasks = InstanceTasks(state)
        self._quotas = Quotas(state)

    def resume(self) -> None:
        """Continue the tasks and servers that the daemon had before its restart."""
        self._tasks.resume()

    def routes(self) -> list[Route]:
        """Return the routes of this service."""
        base = "/database/v1.0/{project}"
        one = f"{base}/instances/{{id}}"
        return [
            *Catalog(self._state, self._quotas).routes(base),
            Route("GET", f"{base}/instances", self.index),
            Route("GET", f"{base}/instances/detail", self.index),
            Route("POST", f"{base}/instances", self.create),
            Route("GET", one, self.show),
            Route("PUT", one, self.update),
            Route("PATCH", one, self.edit),
            Route("DELETE", one, self.delete),
            Route("POST", f"{one}/action", self.act),
            *Accounts(self._tasks, self._ready).routes(one),
        ]

    def index(self, _request: Request) -> Response:
        """List all instances: Trove does not filter by name."""
        return Response({"instances": [self._view(record) for record in self._all()]})

    def show(self, request: Request) -> Response:
        """Show an instance by its id."""
        return Response({"instance": self._view(self._find(request))})

    def create(self, request: Request) -> Response:
        """Refuse, or begin to build an instance; the build continues in a thread."""
        body = request.json("instance")
        _check_instance(body)
        size = _volume_size(body.get("volume"))
        self._check_flavor(body["flavorRef"])
        self._check_quota(size)
        users = body.get("users", [])
        asked = body.get("access", {})
        record: Record = {
            "id": new_id(),
            "name": body["name"],
            "flavor_id": body["flavorRef"],
            "volume_size": size,
            "version": self._version(body.get("datastore") or {}),
            # Without CIDRs, upstream opens the database to all, and Pukki to nobody.
            "access": {
                "is_public": asked.get("is_public", False),
                "allowed_cidrs": asked.get("allowed_cidrs", []),
            },
            "databases": _names(body.get("databases", []), "databases"),
            "users": [
                {
                    "name": user["name"],
                    "host": "%",
                    "databases": _names(user.get("databases", []), "databases"),
                }
                for user in users
            ],
            "status": "BUILD",
            "operating_status": "",
            "created": now(),
            "updated": now(),
            "root": False,
            "task": {
                "name": "build",
                "passwords": {user["name"]: user["password"] for user in users},
            },
        }
        self._state.records.put(DATABASES, record["id"], record)
        self._tasks.begin(record)
        return Response({"instance": self._view(record)})

    def update(self, request: Request) -> Response:
        """Change the name and one other attribute by PUT; `access` is replaced as a whole."""
        body = request.json("instance")
        if len(set(body) - {"name"}) > 1:
            raise _refuse("Only one attribute (except 'name') is allowed to update.")
        if "access" in body:
            _check_access(body["access"])
        # Two changes may follow each other at once; the last one wins.
        with self._state.records.lock:
            record = self._built(request)
            if "name" in body:
                record = self._tasks.change(record["id"], name=body["name"]) or record
            if "access" in body:
                access = {
                    "is_public": body["access"].get("is_public", False),
                    "allowed_cidrs": body["access"].get("allowed_cidrs", []),
                }
                self._tasks.change_access(record["id"], access)
        return Response(None, 202)  # an empty body would detach a configuration group

    def edit(self, request: Request) -> Response:
        """Change an instance by PATCH, which takes neither access nor users."""
        if set(request.json("instance")) - {"name", "configuration", "replica_of", "slave_of"}:
            raise _refuse("Validation error: instance: Additional properties are not allowed.")
        return self.update(request)

    def delete(self, request: Request) -> Response:
        """Begin to delete an instance, which is listed until it is gone."""
        with self._state.records.lock:
            record = self._find(request)
            if record["status"] == "BUILD":
                raise ApiError(
                    UNPROCESSABLE, f"Instance {record['id']} is not ready. (Status is BUILD)."
                )
            if record["status"] != "SHUTDOWN":
                self._begin(record, {"name": "delete"}, status="SHUTDOWN")
        return Response(None, 202)

    def act(self, request: Request) -> Response:
        """Resize the volume (only up) or the flavor, restart, or reset the status."""
        with self._state.records.lock:
            body = request.body or {}
            if "reset_status" in body:  # for administrators; here every user is one
                self._tasks.change(self._find(request)["id"], operating_status="ERROR")
                return Response(None, 202)
            record = self._ready(request)
            if "restart" in body:
                self._begin(record, {"name": "restart"}, status="REBOOT")
                return Response(None, 202)
            resize = request.json("resize")
            if "volume" in resize:
                size = _volume_size(resize["volume"])
                if size <= record["volume_size"]:
                    raise _refuse(
                        "The new volume 'size' must be larger than the current volume size of "
                        f"'{record['volume_size']}'."
                    )
                self._begin(record, {"name": "resize_volume", "size": size}, status="RESIZE")
            else:
                flavor = request.json("resize", "flavorRef")
                self._check_flavor(flavor)
                if flavor == record["flavor_id"]:
                    raise _refuse(
                        "The new flavor id must be different than the current flavor id of "
                        f"'{flavor}'."
                    )
                task = {"name": "resize_flavor", "flavor_id": flavor}
                self._begin(record, task, status="RESIZE")
        return Response(None, 202)

    def _begin(self, record: Record, task: dict[str, Any], **changes: object) -> None:
        self._tasks.begin(self._tasks.change(record["id"], task=task, **changes) or record)

    def _all(self) -> list[Record]:
        return self._state.records.all(DATABASES)

    def _find(self, request: Request) -> Record:
        record = self._state.records.get(DATABASES, request.names["id"])
        if record is None:
            raise ApiError(NOT_FOUND, f"Resource {request.names['id']} cannot be found.")
        return record

    def _built(self, request: Request) -> Record:
        """The instance, unless it has no server yet."""
        record = self._find(request)
        if self._view(record)["status"] in ("BUILD", "ERROR"):
            raise ApiError(UNPROCESSABLE, f"Instance {record['id']} is not ready.")
        return record

    def _ready(self, request: Request) -> Record:
        """The instance, unless a task is changing it."""
        record = self._find(request)
        view = self._view(record)
        status = view["status"]
        if record["task"] or status != "ACTIVE" or view["operating_status"] == "ERROR":
            raise ApiError(
                UNPROCESSABLE,
                f"Instance {record['id']} is not currently available for an action to be "
                f"performed (status was {status}).",
            )
        return record

    def _check_quota(self, size: int) -> None:
        sizes = [record["volume_size"] for record in self._all()]
        totals = {"instances": len(sizes) + 1, "volumes": sum(sizes) + size}
        if exceeded := self._quotas.exceeded("database", totals):
            raise ApiError(OVER_LIMIT, f"Quota exceeded for resources: {exceeded}.")

    def _check_flavor(self, flavor: object) -> None:
        if flavors.find(flavors.database(self._state), str(flavor)) is None:
            raise _refuse(f"Resource {flavor} cannot be found.")

    def _version(self, datastore: dict[str, Any]) -> str:
        kind = datastore.get("type", "postgresql")
        if kind not in ("postgresql", self._state.fixed_id("datastore")):
            raise ApiError(NOT_FOUND, f"Datastore '{kind}' cannot be found.")
        asked = datastore.get("version", VERSIONS[0])
        for name in VERSIONS:
            if asked in (name, self._state.fixed_id(f"datastore/{name}")):
                return name
        raise _refuse(f"Datastore version '{asked}' cannot be found.")

    def _view(self, record: Record) -> dict[str, Any]:
        status, operating = record["status"], record["operating_status"]
        is_settled = status == "ACTIVE" and not record["task"]
        if is_settled and not postgres.is_running(self._state.database_folder(record["id"])):
            status = "ERROR"
        if record["task"] or status != "ACTIVE":
            operating = ""  # Trove shows it only for a server that is up and has no task
        view = {
            "id": record["id"],
            "name": record["name"],
            "status": status,
            "operating_status": operating,
            "region": REGION,
            "tenant_id": self._state.identity.project_id,
            "created": record["created"],
            "updated": record["updated"],
            "flavor": {"id": record["flavor_id"], "links": []},
            "volume": {"size": record["volume_size"]},
            "datastore": {
                "type": "postgresql",
                "version": record["version"],
                "version_number": record["version"],
            },
            "access": record["access"],
            "links": [],
        }
        if "fault" in record:
            view["fault"] = record["fault"]
        if "port" in record and status != "BUILD":
            view["port"] = record["port"]
            view["addresses"] = [{"address": _PRIVATE_ADDRESS, "type": "private"}]
            if record["access"]["is_public"]:
                view["addresses"].append({"address": postgres.HOST, "type": "public"})
            view["ip"] = [entry["address"] for entry in view["addresses"]]
        return view


class Catalog:
    """The part of Trove that names no instance: versions, flavors, datastores and limits."""

    def __init__(self, state: CloudState, quotas: Quotas) -> None:
        self._state = state
        self._quotas = quotas

    def routes(self, base: str) -> list[Route]:
        """Return the routes of this part, below the project's path `base`."""
        return [
            Route("GET", "/database", self.versions, public=True),
            Route("GET", "/database/v1.0", self.versions, public=True),
            Route("GET", base, self.versions, public=True),
            Route("GET", f"{base}/flavors", self.flavors),
            Route("GET", f"{base}/flavors/{{id}}", self.flavor),
            Route("GET", f"{base}/datastores", self.datastores),
            Route("GET", f"{base}/datastores/{{name}}/versions", self.datastore_versions),
            Route("GET", f"{base}/backups", self.backups),
            Route("GET", f"{base}/limits", self.limits),
            Route("PUT", f"{base}/mgmt/quotas/{{tenant}}", self.change_quota),
            Route("GET", f"{base}/instances/{{id}}/backups", self.backups),
        ]

    def versions(self, _request: Request) -> Response:
        """List the only version."""
        link = {"rel": "self", "href": f"{self._state.url}/database/v1.0/"}
        return Response({"versions": [{"id": "v1.0", "status": "CURRENT", "links": [link]}]})

    def flavors(self, _request: Request) -> Response:
        """List the flavors."""
        return Response({"flavors": flavors.database(self._state)})

    def flavor(self, request: Request) -> Response:
        """Show a flavor by its id."""
        found = flavors.find(flavors.database(self._state), request.names["id"])
        if found is None:
            raise ApiError(NOT_FOUND, f"Resource {request.names['id']} cannot be found.")
        return Response({"flavor": found})

    def datastores(self, _request: Request) -> Response:
        """List the only datastore."""
        identifier = self._state.fixed_id("datastore")
        return Response({"datastores": [{"id": identifier, "name": "postgresql"}]})

    def datastore_versions(self, request: Request) -> Response:
        """List the versions of a datastore, which is given by its name or id."""
        if request.names["name"] not in ("postgresql", self._state.fixed_id("datastore")):
            raise ApiError(NOT_FOUND, f"Datastore '{request.names['name']}' cannot be found.")
        found = [
            {"id": self._state.fixed_id(f"datastore/{name}"), "name": name, "active": 1}
            for name in VERSIONS
        ]
        return Response({"versions": found})

    def backups(self, _request: Request) -> Response:
        """List no backups: none are made here."""
        return Response({"backups": []})

    def limits(self, _request: Request) -> Response:
        """Show the quota, without its use."""
        quota = {f"max_{name}": most for name, most in self._quotas.of("database").items()}
        return Response({"limits": [{"verb": "ABSOLUTE", **quota}]})

    def change_quota(self, request: Request) -> Response:
        """Change the quota, as an administrator may."""
        return Response({"quotas": self._quotas.change("database", request.json("quotas"))})


class Accounts:
    """The part of Trove below an instance: its users, databases and superuser."""

    def __init__(self, tasks: InstanceTasks, ready: Callable[[Request], Record]) -> None:
        """Keep what the routes need.

        Args:
            tasks: gives access to the instances' servers.
            ready: finds a request's instance, or refuses while a task is changing it.
        """
        self._tasks = tasks
        self._ready = ready

    def routes(self, one: str) -> list[Route]:
        """Return the routes of this part, below an instance's path `one`."""
        user = f"{one}/users/{{name}}"
        return [
            Route("GET", f"{one}/users", self.users),
            Route("POST", f"{one}/users", self.create_users),
            Route("PUT", f"{one}/users", self.change_passwords),
            Route("GET", user, self.user),
            Route("PUT", user, self.change_user),
            Route("DELETE", user, self.delete_user),
            Route("GET", f"{user}/databases", self.granted),
            Route("PUT", f"{user}/databases", self.grant),
            Route("DELETE", f"{user}/databases/{{database}}", self.revoke),
            Route("GET", f"{one}/databases", self.databases),
            Route("POST", f"{one}/databases", self.create_databases),
            Route("DELETE", f"{one}/databases/{{database}}", self.delete_database),
            Route("GET", f"{one}/root", self.root),
            Route("POST", f"{one}/root", self.enable_root),
        ]

    def users(self, request: Request) -> Response:
        """List the users, without passwords."""
        return Response({"users": [_user_view(user) for user in self._ready(request)["users"]]})

    def user(self, request: Request) -> Response:
        """Show a user."""
        return Response({"user": _user_view(_user(self._ready(request), request.names["name"]))})

    def create_users(self, request: Request) -> Response:
        """Create users with ALL on the databases that each lists."""
        record, asked = self._ready(request), request.json("users")
        _check_users(asked, record["databases"])
        known = {user["name"] for user in record["users"]}
        for entry in asked:
            if entry["name"] in known:
                raise _refuse(f"User with name {entry['name']} already exists.")
        for entry in asked:
            databases = _names(entry.get("databases", []), "databases")
            server = self._tasks.server(record["id"])
            postgres.create_user(server, entry["name"], entry["password"], databases)
            record["users"].append({"name": entry["name"], "host": "%", "databases": databases})
        return self._save(record)

    def change_passwords(self, request: Request) -> Response:
        """Change the passwords of existing users."""
        record, asked = self._ready(request), request.json("users")
        _check_users(asked)
        for entry in asked:
            _user(record, entry["name"])
        for entry in asked:
            server = self._tasks.server(record["id"])
            postgres.change_password(server, entry["name"], entry["password"])
        return Response(None, 202)

    def change_user(self, request: Request) -> Response:
        """Change a user's password; the local cloud changes nothing else of a user."""
        record, asked = self._ready(request), request.json("user")
        name = _user(record, request.names["name"])["name"]
        if asked.get("name", name) != name:
            raise _refuse("The local cloud does not rename users.")
        if "password" in asked:
            server = self._tasks.server(record["id"])
            postgres.change_password(server, name, str(asked["password"]))
        return Response(None, 202)

    def delete_user(self, request: Request) -> Response:
        """Drop a user with its grants."""
        record = self._ready(request)
        user = _user(record, request.names["name"])
        server = self._tasks.server(record["id"])
        for database in user["databases"]:
            postgres.revoke(server, user["name"], database)
        postgres.drop_user(server, user["name"])
        record["users"].remove(user)
        return self._save(record)

    def granted(self, request: Request) -> Response:
        """List the databases that a user may use."""
        user = _user(self._ready(request), request.names["name"])
        return Response({"databases": [{"name": name} for name in user["databases"]]})

    def grant(self, request: Request) -> Response:
        """Grant a user more databases."""
        record = self._ready(request)
        user = _user(record, request.names["name"])
        for database in _names(request.json("databases"), "databases"):
            _database(record, database)
            postgres.grant(self._tasks.server(record["id"]), user["name"], database)
            user["databases"] = [*dict.fromkeys([*user["databases"], database])]
        return self._save(record)

    def revoke(self, request: Request) -> Response:
        """Revoke a user's grant of one database."""
        record = self._ready(request)
        user, database = _user(record, request.names["name"]), request.names["database"]
        if database not in user["databases"]:
            raise ApiError(NOT_FOUND, f"Database {database} cannot be found on the instance.")
        postgres.revoke(self._tasks.server(record["id"]), user["name"], database)
        user["databases"].remove(database)
        return self._save(record)

    def databases(self, request: Request) -> Response:
        """List the databases."""
        found = [{"name": name} for name in self._ready(request)["databases"]]
        return Response({"databases": found})

    def create_databases(self, request: Request) -> Response:
        """Create databases."""
        record = self._ready(request)
        for name in _names(request.json("databases"), "databases"):
            if name in record["databases"]:
                raise _refuse(f"Database with name {name} already exists.")
            postgres.create_database(self._tasks.server(record["id"]), name)
            record["databases"].append(name)
        return self._save(record)

    def delete_database(self, request: Request) -> Response:
        """Drop a database with everything in it."""
        record, name = self._ready(request), request.names["database"]
        _database(record, name)
        postgres.drop_database(self._tasks.server(record["id"]), name)
        record["databases"].remove(name)
        for user in record["users"]:
            user["databases"] = [known for known in user["databases"] if known != name]
        return self._save(record)

    def root(self, request: Request) -> Response:
        """Show whether the superuser was ever enabled."""
        return Response({"rootEnabled": self._ready(request)["root"]})

    def enable_root(self, request: Request) -> Response:
        """Set a new password for the superuser `postgres`, Trove's root."""
        record = self._ready(request)
        password = str((request.body or {}).get("password") or secrets.token_urlsafe(24))
        postgres.change_superuser_password(self._tasks.folder(record["id"]), password)
        self._tasks.change(record["id"], root=True)
        return Response({"user": {"name": postgres.SUPERUSER, "password": password}})

    def _save(self, record: Record) -> Response:
        self._tasks.change(record["id"], users=record["users"], databases=record["databases"])
        return Response(None, 202)


def _user(record: Record, name: str) -> Record:
    for user in record["users"]:
        if user["name"] == name:
            found: Record = user
            return found
    raise ApiError(NOT_FOUND, f"User {name} cannot be found on the instance.")


def _database(record: Record, name: str) -> None:
    if name not in record["databases"]:
        raise ApiError(NOT_FOUND, f"Database {name} cannot be found on the instance.")


def _user_view(user: Record) -> Record:
    databases = [{"name": name} for name in user["databases"]]
    return {"name": user["name"], "host": user["host"], "databases": databases}


def _refuse(message: str) -> ApiError:
    return ApiError(BAD_REQUEST, message)


def _check_instance(body: dict[str, Any]) -> None:
    """Check the body of a create request (openstack/trove `trove/common/apischema.py`)."""
    if "name" not in body:
        raise _refuse("Validation error: instance 'name' is a required property")
    name = body["name"]
    if not isinstance(name, str) or not re.search(r"[0-9a-zA-Z]", name) or len(name) > 255:  # noqa: PLR2004
        raise _refuse(
            f"Validation error: instance['name'] '{name}' does not match '^.*[0-9a-zA-Z]+.*$'"
        )
    if not isinstance(body.get("flavorRef"), str):
        raise _refuse("Validation error: instance: 'flavorRef' is a required property.")
    if "access" in body:
        _check_access(body["access"])
    databases = _names(body.get("databases", []), "databases")
    if len(set(databases)) < len(databases):
        raise _refuse(
            "Two or more databases share the same name in the initial databases list. Please "
            "correct the names or remove the duplicate entries."
        )
    _check_users(body.get("users", []), databases)
    _check_nics(body.get("nics", []))


def _volume_size(volume: object) -> int:
    """The GiB of a `volume`."""
    size = volume.get("size") if isinstance(volume, dict) else None
    if size is None:
        raise _refuse("Volume size was not specified.")
    if isinstance(size, bool) or not re.fullmatch(r"[1-9][0-9]*", str(size)):
        raise _refuse("Validation error: instance['volume']['size'] is not a positive integer.")
    if int(str(size)) > MAX_VOLUME_GB:
        raise ApiError(
            OVER_LIMIT,
            f"Volume 'size' cannot exceed maximum of {MAX_VOLUME_GB} GB, {size} cannot be "
            "accepted.",
        )
    return int(str(size))


def _check_access(value: object) -> None:
    """Check the form of `access`; a CIDR that no firewall takes ends the build in ERROR."""
    if not isinstance(value, dict):
        raise _refuse(f"Validation error: instance['access'] {value!r} is not of type 'object'")
    if not isinstance(value.get("is_public", False), bool):
        raise _refuse("Validation error: instance['access']['is_public'] is not of type 'boolean'.")
    cidrs = value.get("allowed_cidrs", [])
    place = "instance['access']['allowed_cidrs']"
    if not isinstance(cidrs, list):
        raise _refuse(f"Validation error: {place} {cidrs!r} is not of type 'array'")
    for at, cidr in enumerate(cidrs):
        if not isinstance(cidr, str) or not CIDR.match(cidr):
            raise _refuse(
                f"Validation error: {place}[{at}] '{cidr}' does not match '{CIDR.pattern}'."
            )
    if len(set(cidrs)) < len(cidrs):
        raise _refuse(f"Validation error: {place} {cidrs} has non-unique elements.")
    for cidr in cidrs:
        if (
            is_firewall_cidr(cidr)
            and ipaddress.ip_interface(cidr).network.prefixlen < WIDEST_PREFIX
        ):
            raise _refuse(f"CIDR {cidr} is wider than /{WIDEST_PREFIX}, which is not allowed.")


def _names(entries: object, what: str) -> list[str]:
    """The names in a list of databases or users."""
    if not isinstance(entries, list):
        raise _refuse(f"Validation error: {what} is not of type 'array'.")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise _refuse(f"Validation error: {what}: 'name' is a required property.")
    return [entry["name"] for entry in entries]


def _check_users(entries: object, databases: Iterable[str] | None = None) -> None:
    """Check users that are to be created (openstack/trove `trove/extensions/mysql/common.py`)."""
    # `databases` are those that the instance will have, None where they are not known here.
    found = _names(entries, "users")
    if len(set(found)) < len(found):
        raise _refuse(
            "Two or more users share the same name and host in the initial users list. Please "
            "correct the names or remove the duplicate entries."
        )
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry.get("password"), str) or not entry["password"]:
            raise _refuse("Validation error: users: 'password' is a required property.")
        for database in _names(entry.get("databases", []), "databases"):
            if databases is not None and database not in databases:
                raise _refuse(
                    f"The request indicates that user {entry['name']} should have access to "
                    f"database {database}, but database {database} is not included in the initial "
                    "databases list."
                )


def _check_nics(entries: object) -> None:
    """Check that there is at most one network."""
    if not isinstance(entries, list) or len(entries) > 1:
        raise _refuse("Validation error: instance['nics'] is too long.")
    for nic in entries:
        if not isinstance(nic, dict) or not {"network_id", "net-id", "subnet_id"} & set(nic):
            raise _refuse("Network or subnet not provided.")
