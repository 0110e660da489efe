"""Nova v2.1: flavors, servers, key pairs, limits, quotas.

https://docs.openstack.org/api-ref/compute/
"""

from typing import Any

from local.api import flavors
from local.api.http import BAD_REQUEST, NOT_FOUND, Request, Response, Route, select
from local.api.quotas import Quotas
from local.api.state import CloudState, Record
from local.errors import ApiError
from local.machine import kinds, machine
from local.resources.instance import ACTIVE, SHUT_OFF, Instance
from local.resources.keypair import Keypair


class Nova:
    """The service below /compute."""

    def __init__(self, state: CloudState) -> None:
        self._state = state
        self._instances = Instance(state)
        self._quotas = Quotas(state)

    def routes(self) -> list[Route]:
        """Return the routes of this service."""
        v2 = "/compute/v2.1"
        return [
            Route("GET", "/compute", self.versions, public=True),
            Route("GET", v2, self.version, public=True),
            Route("GET", f"{v2}/flavors", self.flavors),
            Route("GET", f"{v2}/flavors/detail", self.flavors),
            Route("GET", f"{v2}/flavors/{{id}}", self.flavor),
            Route("GET", f"{v2}/limits", self.limits),
            Route("GET", f"{v2}/os-quota-sets/{{project}}", self.quota),
            Route("PUT", f"{v2}/os-quota-sets/{{project}}", self.change_quota),
            Route("GET", f"{v2}/os-keypairs", self.keypairs),
            Route("GET", f"{v2}/os-keypairs/{{name}}", self.keypair),
            Route("DELETE", f"{v2}/os-keypairs/{{name}}", self.delete_keypair),
            Route("GET", f"{v2}/servers", self.servers),
            Route("GET", f"{v2}/servers/detail", self.servers),
            Route("GET", f"{v2}/servers/{{id}}", self.server),
            Route("DELETE", f"{v2}/servers/{{id}}", self.delete_server),
            Route("POST", f"{v2}/servers/{{id}}/action", self.act),
        ]

    def versions(self, _request: Request) -> Response:
        """List the only version."""
        return Response({"versions": [self._version()]})

    def version(self, _request: Request) -> Response:
        """Show the only version."""
        return Response({"version": self._version()})

    def flavors(self, request: Request) -> Response:
        """List the flavors that match the query."""
        return Response({"flavors": select(flavors.compute(self._state), request.query)})

    def flavor(self, request: Request) -> Response:
        """Show a flavor by its id (not its name)."""
        found = flavors.find(flavors.compute(self._state), request.names["id"])
        if found is None:
            raise ApiError(NOT_FOUND, f"Flavor {request.names['id']} could not be found.")
        return Response({"flavor": found})

    def limits(self, _request: Request) -> Response:
        """Show the quota and its use."""
        used = [self._flavor_of(record) for record in self._instances.all()]
        quota = self._quotas.of("compute")
        absolute = {
            "maxTotalInstances": quota["instances"],
            "maxTotalCores": quota["cores"],
            "maxTotalRAMSize": quota["ram"],
            "totalInstancesUsed": len(used),
            "totalCoresUsed": sum(flavor["vcpus"] for flavor in used),
            "totalRAMUsed": sum(flavor["ram"] for flavor in used),
        }
        return Response({"limits": {"rate": [], "absolute": absolute}})

    def quota(self, _request: Request) -> Response:
        """Show the quota."""
        return Response({"quota_set": self._quotas.of("compute")})

    def change_quota(self, request: Request) -> Response:
        """Change the quota, as an administrator may."""
        return Response({"quota_set": self._quotas.change("compute", request.json("quota_set"))})

    def keypairs(self, _request: Request) -> Response:
        """List the key pairs."""
        found = [{"keypair": _keypair(record)} for record in Keypair(self._state).all()]
        return Response({"keypairs": found})

    def keypair(self, request: Request) -> Response:
        """Show a key pair by its name."""
        return Response({"keypair": _keypair(Keypair(self._state).find(request.names["name"]))})

    def delete_keypair(self, request: Request) -> Response:
        """Delete a key pair."""
        Keypair(self._state).delete(request.names["name"])
        return Response(None, 202)

    def servers(self, request: Request) -> Response:
        """List the servers that match the query."""
        found = [self._server(record) for record in self._instances.all()]
        return Response({"servers": select(found, request.query)})

    def server(self, request: Request) -> Response:
        """Show a server by its id."""
        return Response({"server": self._server(self._instances.find(request.names["id"]))})

    def delete_server(self, request: Request) -> Response:
        """Shut a server down and delete it."""
        self._instances.delete(request.names["id"])
        return Response(None, 204)

    def act(self, request: Request) -> Response:
        """Start or stop a server, or show the end of its console log."""
        record = self._instances.find(request.names["id"])
        for action, power_state in (("os-stop", SHUT_OFF), ("os-start", ACTIVE)):
            if action in (request.body or {}):
                self._instances.set_power(record["id"], power_state)
                return Response(None, 202)
        asked = request.json("os-getConsoleOutput")
        console = kinds.load(self._state.machine_folder(record["id"])).console
        text = console.read_text(encoding="utf-8", errors="replace") if console.exists() else ""
        lines = text.splitlines(keepends=True)
        length = (asked or {}).get("length")
        if length is not None and not str(length).isdigit():
            raise ApiError(BAD_REQUEST, f"length {length} is not a number of lines.")
        return Response({"output": "".join(lines[-int(length) :] if length else lines)})

    def _version(self) -> dict[str, Any]:
        link = {"rel": "self", "href": f"{self._state.url}/compute/v2.1/"}
        limits = {"version": "2.96", "min_version": "2.1"}
        return {"id": "v2.1", "status": "CURRENT", "links": [link], **limits}

    def _flavor_of(self, record: Record) -> dict[str, Any]:
        identifier = record["computed"]["flavorId"]
        found = flavors.find(flavors.compute(self._state), identifier)
        return found or {"vcpus": 0, "ram": 0, "disk": 0, "name": ""}

    def _server(self, record: Record) -> dict[str, Any]:
        computed, flavor = record["computed"], self._flavor_of(record)
        up = machine.is_running(self._state.machine_folder(record["id"]))
        addresses: dict[str, list[dict[str, Any]]] = {}
        for network in computed["networks"]:
            addresses.setdefault(network["name"], []).append(
                {
                    "addr": network["fixedIpV4"],
                    "version": 4,
                    "OS-EXT-IPS:type": "fixed",
                    "OS-EXT-IPS-MAC:mac_addr": network["mac"],
                }
            )
        return {
            "id": record["id"],
            "name": computed["name"],
            "status": "ACTIVE" if up else "SHUTOFF",
            "OS-EXT-STS:power_state": 1 if up else 4,
            "OS-EXT-STS:vm_state": "active" if up else "stopped",
            "addresses": addresses,
            "accessIPv4": "",
            "accessIPv6": "",
            "flavor": {
                key: flavor[name]
                for key, name in (
                    *(("original_name", "name"), ("vcpus", "vcpus")),
                    *(("ram", "ram"), ("disk", "disk")),
                )
            },
            "image": {"id": computed["imageId"]},
            "key_name": record["inputs"].get("keyPair"),
            "metadata": computed["allMetadata"],
            "tags": computed["allTags"],
            "created": computed["created"],
            "updated": computed["updated"],
            "security_groups": [{"name": name} for name in computed["securityGroups"]],
            "tenant_id": self._state.identity.project_id,
            "user_id": self._state.identity.user_id,
            "OS-EXT-AZ:availability_zone": computed["availabilityZone"],
        }


def _keypair(record: Record) -> dict[str, Any]:
    return {
        "name": record["id"],
        "public_key": record["inputs"].get("publicKey"),
        "fingerprint": record["computed"]["fingerprint"],
        "type": "ssh",
    }
