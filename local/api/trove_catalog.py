"""What Trove offers: flavors, datastores and limits."""

from local.api import flavors
from local.api.cloud import Cloud
from local.api.http import NOT_FOUND, ApiError, Reply, Request, Route
from local.api.quotas import Quotas

VERSIONS = ("17.5", "16.9")


class Catalog:
    """Answers below a project, where no instance is named."""

    def __init__(self, cloud: Cloud, quotas: Quotas) -> None:
        self._cloud = cloud
        self._quotas = quotas

    def routes(self, base: str) -> list[Route]:
        """What is asked below `base`."""
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

    def versions(self, _request: Request) -> Reply:
        """The one version."""
        link = {"rel": "self", "href": f"{self._cloud.url}/database/v1.0/"}
        return Reply({"versions": [{"id": "v1.0", "status": "CURRENT", "links": [link]}]})

    def flavors(self, _request: Request) -> Reply:
        """Sizes of instances."""
        return Reply({"flavors": flavors.database(self._cloud)})

    def flavor(self, request: Request) -> Reply:
        """One by id."""
        found = flavors.find(flavors.database(self._cloud), request.names["id"])
        if found is None:
            raise ApiError(NOT_FOUND, f"Resource {request.names['id']} cannot be found.")
        return Reply({"flavor": found})

    def datastores(self, _request: Request) -> Reply:
        """PostgreSQL only."""
        identifier = self._cloud.fixed_id("datastore")
        return Reply({"datastores": [{"id": identifier, "name": "postgresql"}]})

    def datastore_versions(self, request: Request) -> Reply:
        """The versions of a datastore, by its name or id."""
        if request.names["name"] not in ("postgresql", self._cloud.fixed_id("datastore")):
            raise ApiError(NOT_FOUND, f"Datastore '{request.names['name']}' cannot be found.")
        found = [
            {"id": self._cloud.fixed_id(f"datastore/{name}"), "name": name, "active": 1}
            for name in VERSIONS
        ]
        return Reply({"versions": found})

    def backups(self, _request: Request) -> Reply:
        """None are made here."""
        return Reply({"backups": []})

    def limits(self, _request: Request) -> Reply:
        """The quota, not its use."""
        quota = {f"max_{name}": most for name, most in self._quotas.of("database").items()}
        return Reply({"limits": [{"verb": "ABSOLUTE", **quota}]})

    def change_quota(self, request: Request) -> Reply:
        """As an admin may."""
        return Reply({"quotas": self._quotas.change("database", request.json("quotas"))})
