"""The way of the Pulumi plugin into the cloud: resources by their Pulumi type.

Real providers speak to Nova, Neutron and the like; the plugin speaks to this, below /local.
"""

from local.api.cloud import Cloud
from local.api.http import NOT_FOUND, ApiError, Reply, Request, Route
from local.resources.base import Kind, outputs
from local.resources.table import kinds

PATH = "/local/resources"


class PluginPath:
    """Answers below /local."""

    def __init__(self, cloud: Cloud) -> None:
        self._kinds = kinds(cloud)

    def routes(self) -> list[Route]:
        """What the plugin asks."""
        one = f"{PATH}/{{type}}/{{id}}"
        return [
            Route("POST", f"{PATH}/{{type}}", self.create),
            Route("GET", one, self.read),
            Route("PUT", one, self.update),
            Route("DELETE", one, self.delete),
        ]

    def create(self, request: Request) -> Reply:
        """Inputs in the body; answers id and outputs."""
        record = self._kind(request).create(request.json("inputs"), request.auth_method)
        return Reply({"id": record["id"], "outputs": outputs(record)}, 201)

    def read(self, request: Request) -> Reply:
        """Inputs and outputs; 404 when it is gone."""
        record = self._kind(request).find(request.names["id"])
        return Reply({"inputs": record["inputs"], "outputs": outputs(record)})

    def update(self, request: Request) -> Reply:
        """The new inputs in the body; answers outputs."""
        record = self._kind(request).update(request.names["id"], request.json("inputs"))
        return Reply({"outputs": outputs(record)})

    def delete(self, request: Request) -> Reply:
        """Remove it and wait until it is gone."""
        self._kind(request).delete(request.names["id"])
        return Reply(None, 204)

    def _kind(self, request: Request) -> Kind:
        kind = self._kinds.get(request.names["type"])
        if kind is None:
            raise ApiError(NOT_FOUND, f"The local cloud has no {request.names['type']}.")
        return kind
