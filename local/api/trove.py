"""Trove v1.0: PostgreSQL instances with access rules, users and databases.

https://docs.openstack.org/api-ref/database/, with what real Trove 26 answered and the traps
of Pukki. A view has one field more than a real one: `port`, since here not every server can
listen on 5432.
"""

from typing import Any

from local import postgres
from local.api import flavors, trove_checks
from local.api.cloud import REGION, Cloud, new_id, now
from local.api.http import NOT_FOUND, OVER_LIMIT, UNPROCESSABLE, ApiError, Reply, Request, Route
from local.api.quotas import Quotas
from local.api.records import Record
from local.api.trove_accounts import Accounts
from local.api.trove_catalog import VERSIONS, Catalog
from local.api.trove_guest import Guest
from local.layout import DATABASES

_PRIVATE = "192.168.1.5"


class Trove:
    """Answers below /database."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._guest = Guest(cloud)
        self._quotas = Quotas(cloud)

    def resume(self) -> None:
        """Go on after a restart of the daemon."""
        self._guest.resume()

    def routes(self) -> list[Route]:
        """What this service answers."""
        base = "/database/v1.0/{project}"
        one = f"{base}/instances/{{id}}"
        return [
            *Catalog(self._cloud, self._quotas).routes(base),
            Route("GET", f"{base}/instances", self.index),
            Route("GET", f"{base}/instances/detail", self.index),
            Route("POST", f"{base}/instances", self.create),
            Route("GET", one, self.show),
            Route("PUT", one, self.update),
            Route("PATCH", one, self.edit),
            Route("DELETE", one, self.delete),
            Route("POST", f"{one}/action", self.act),
            *Accounts(self._guest, self._ready).routes(one),
        ]

    def index(self, _request: Request) -> Reply:
        """All instances; real Trove filters none by name."""
        return Reply({"instances": [self._view(record) for record in self._all()]})

    def show(self, request: Request) -> Reply:
        """One by id."""
        return Reply({"instance": self._view(self._find(request))})

    def create(self, request: Request) -> Reply:
        """Refuse or answer at once; the building goes on in a thread."""
        body = request.json("instance")
        trove_checks.instance(body)
        size = trove_checks.volume_size(body.get("volume"))
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
            # Without CIDRs upstream opens to all and Pukki to none; this is Pukki.
            "access": {
                "is_public": asked.get("is_public", False),
                "allowed_cidrs": asked.get("allowed_cidrs", []),
            },
            "databases": trove_checks.names(body.get("databases", []), "databases"),
            "users": [
                {
                    "name": user["name"],
                    "host": "%",
                    "databases": trove_checks.names(user.get("databases", []), "databases"),
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
        self._cloud.records.put(DATABASES, record["id"], record)
        self._guest.begin(record)
        return Reply({"instance": self._view(record)})

    def update(self, request: Request) -> Reply:
        """PUT: one attribute besides the name, and `access` is replaced as a whole.

        Only an instance that is being built is not ready for it: of two, the last holds.
        """
        body = request.json("instance")
        if len(set(body) - {"name"}) > 1:
            raise trove_checks.refuse("Only one attribute (except 'name') is allowed to update.")
        if "access" in body:
            trove_checks.access(body["access"])
        with self._cloud.records.lock:
            record = self._built(request)
            if "name" in body:
                record = self._guest.change(record["id"], name=body["name"]) or record
            if "access" in body:
                access = {
                    "is_public": body["access"].get("is_public", False),
                    "allowed_cidrs": body["access"].get("allowed_cidrs", []),
                }
                self._guest.admit(record["id"], access)
        return Reply(None, 202)  # an empty body detaches the configuration group: none here

    def edit(self, request: Request) -> Reply:
        """PATCH knows neither access nor users."""
        if set(request.json("instance")) - {"name", "configuration", "replica_of", "slave_of"}:
            raise trove_checks.refuse(
                "Validation error: instance: Additional properties are not allowed."
            )
        return self.update(request)

    def delete(self, request: Request) -> Reply:
        """202; the instance answers until it is gone."""
        with self._cloud.records.lock:
            record = self._find(request)
            if record["status"] == "BUILD":
                raise ApiError(
                    UNPROCESSABLE, f"Instance {record['id']} is not ready. (Status is BUILD)."
                )
            if record["status"] != "SHUTDOWN":
                self._begin(record, {"name": "delete"}, status="SHUTDOWN")
        return Reply(None, 202)

    def act(self, request: Request) -> Reply:
        """Resize the volume (only up) or the flavor, restart, or forget how the database is."""
        with self._cloud.records.lock:
            body = request.body or {}
            if "reset_status" in body:  # an administrator's, and everybody is one here
                self._guest.change(self._find(request)["id"], operating_status="ERROR")
                return Reply(None, 202)
            record = self._ready(request)
            if "restart" in body:
                self._begin(record, {"name": "restart"}, status="REBOOT")
                return Reply(None, 202)
            resize = request.json("resize")
            if "volume" in resize:
                size = trove_checks.volume_size(resize["volume"])
                if size <= record["volume_size"]:
                    raise trove_checks.refuse(
                        "The new volume 'size' must be larger than the current volume size of "
                        f"'{record['volume_size']}'."
                    )
                self._begin(record, {"name": "resize_volume", "size": size}, status="RESIZE")
            else:
                flavor = request.json("resize", "flavorRef")
                self._check_flavor(flavor)
                if flavor == record["flavor_id"]:
                    raise trove_checks.refuse(
                        "The new flavor id must be different than the current flavor id of "
                        f"'{flavor}'."
                    )
                task = {"name": "resize_flavor", "flavor_id": flavor}
                self._begin(record, task, status="RESIZE")
        return Reply(None, 202)

    def _begin(self, record: Record, task: dict[str, Any], **changes: object) -> None:
        self._guest.begin(self._guest.change(record["id"], task=task, **changes) or record)

    def _all(self) -> list[Record]:
        return self._cloud.records.all(DATABASES)

    def _find(self, request: Request) -> Record:
        record = self._cloud.records.get(DATABASES, request.names["id"])
        if record is None:
            raise ApiError(NOT_FOUND, f"Resource {request.names['id']} cannot be found.")
        return record

    def _built(self, request: Request) -> Record:
        """The instance, if it has a server."""
        record = self._find(request)
        if self._view(record)["status"] in ("BUILD", "ERROR"):
            raise ApiError(UNPROCESSABLE, f"Instance {record['id']} is not ready.")
        return record

    def _ready(self, request: Request) -> Record:
        """The instance, if nothing is under way with it."""
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
        wanted = {"instances": len(sizes) + 1, "volumes": sum(sizes) + size}
        if over := self._quotas.over("database", wanted):
            raise ApiError(OVER_LIMIT, f"Quota exceeded for resources: {over}.")

    def _check_flavor(self, flavor: object) -> None:
        if flavors.find(flavors.database(self._cloud), str(flavor)) is None:
            raise trove_checks.refuse(f"Resource {flavor} cannot be found.")

    def _version(self, datastore: dict[str, Any]) -> str:
        kind = datastore.get("type", "postgresql")
        if kind not in ("postgresql", self._cloud.fixed_id("datastore")):
            raise ApiError(NOT_FOUND, f"Datastore '{kind}' cannot be found.")
        asked = datastore.get("version", VERSIONS[0])
        for name in VERSIONS:
            if asked in (name, self._cloud.fixed_id(f"datastore/{name}")):
                return name
        raise trove_checks.refuse(f"Datastore version '{asked}' cannot be found.")

    def _view(self, record: Record) -> dict[str, Any]:
        status, operating = record["status"], record["operating_status"]
        settled = status == "ACTIVE" and not record["task"]
        if settled and not postgres.running(self._guest.home(record["id"])):
            status = "ERROR"
        if record["task"] or status != "ACTIVE":
            operating = ""  # told only of a machine that is up and that nothing is done with
        view = {
            "id": record["id"],
            "name": record["name"],
            "status": status,
            "operating_status": operating,
            "region": REGION,
            "tenant_id": self._cloud.identity.project_id,
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
            view["addresses"] = [{"address": _PRIVATE, "type": "private"}]
            if record["access"]["is_public"]:
                view["addresses"].append({"address": postgres.HOST, "type": "public"})
            view["ip"] = [entry["address"] for entry in view["addresses"]]
        return view
