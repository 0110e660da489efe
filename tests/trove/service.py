"""The Trove under test, and its raw API."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clients import trove as client
from clients.connection import connect
from tests.eventually import eventually

MINE = "203.0.113.7/32"
OPEN = {"is_public": True, "allowed_cidrs": [MINE]}
#: Long enough for a loaded machine; failures are reported at once.
SECONDS = 400.0
#: Between two looks: each makes real services ask each other several times.
PAUSE = 0.3
DATABASE, ADMIN, WORKER = "pipeline_db", "db_admin", "pipeline_worker"


@dataclass(frozen=True)
class Service:
    """An entry of clouds.yaml with a database service."""

    entry: str
    region: str
    small: str = "standard.small"
    medium: str = "standard.medium"
    administrator: Any = None  # a connection with all rights, if the entry has fewer

    @cached_property
    def cloud(self) -> Any:
        """A connection of the product's own, one for all: each costs a login and a discovery."""
        return connect(self.entry, self.region)

    @property
    def api(self) -> Any:
        """Trove's REST API; paths begin at the project."""
        return self.cloud.database

    def flavor(self, name: str) -> str:
        """A flavor's id."""
        return client.flavors(self.cloud)[name]

    def version(self) -> str:
        """The version of PostgreSQL that the pipeline asks for."""
        return next(v for v in client.versions(self.cloud, "postgresql") if v.startswith("17."))

    def order(self, **changes: Any) -> dict[str, Any]:
        """A create's `instance`, as clients/trove.py sends it; None takes a field away."""
        body = {
            "name": "pipeline",
            "flavorRef": self.flavor(self.small),
            "volume": {"size": 1},
            "datastore": {"type": "postgresql", "version": self.version()},
            "databases": [{"name": DATABASE}],
            "users": [
                {"name": ADMIN, "password": "a", "databases": [{"name": DATABASE}]},
                {"name": WORKER, "password": "w"},
            ],
            "access": OPEN,
            **changes,
        }
        return {name: value for name, value in body.items() if value is not None}

    def create(self, **changes: Any) -> str:
        """Ask for an instance; its id."""
        answer = self.api.post("/instances", json={"instance": self.order(**changes)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["instance"]["id"])

    def show(self, identifier: str) -> dict[str, Any]:
        """What Trove shows of an instance."""
        view: dict[str, Any] = self.api.get(f"/instances/{identifier}").json()["instance"]
        return view

    def put(self, identifier: str, **instance: Any) -> Any:
        """PUT; the answer."""
        return self.api.put(f"/instances/{identifier}", json={"instance": instance})

    def act(self, identifier: str, **action: Any) -> Any:
        """POST an action; the answer."""
        return self.api.post(f"/instances/{identifier}/action", json=action)

    def fall_silent(self, identifier: str) -> None:
        """An administrator's request after which Trove waits for the agent's report."""
        api = (self.administrator or self.cloud).database
        answer = api.post(f"/instances/{identifier}/action", json={"reset_status": {}})
        assert answer.status_code == 202, answer.text

    def healthy(self, identifier: str) -> dict[str, Any]:
        """The instance once it is healthy and no task is running."""
        return self.until(identifier, lambda _: True)

    def until(self, identifier: str, holds: Any) -> dict[str, Any]:
        """The instance once it is healthy and `holds` returns true for it."""

        def look() -> dict[str, Any] | None:
            # None from a service that is overloaded.
            view = self.api.get(f"/instances/{identifier}").json().get("instance")
            return view if view and view["operating_status"] == "HEALTHY" and holds(view) else None

        found: dict[str, Any] = eventually(look, SECONDS, f"{identifier} is healthy", every=PAUSE)
        return found

    def remove(self, identifier: str) -> None:
        """Delete a built instance, and wait until it is gone."""
        assert self.api.delete(f"/instances/{identifier}").status_code == 202
        self.gone(identifier)

    def gone(self, identifier: str) -> None:
        """Wait until Trove answers 404 for it."""
        path = f"/instances/{identifier}"
        eventually(
            lambda: self.api.get(path).status_code == 404, SECONDS, f"{path} goes", every=PAUSE
        )
