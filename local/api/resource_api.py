"""The API of the Pulumi plugin: resources by their Pulumi type.

The real provider calls Nova, Neutron and the like; the plugin of the local cloud calls this API,
below /local.
"""

from local.api.http import NOT_FOUND, Request, Response, Route
from local.api.state import CloudState
from local.errors import ApiError
from local.resources.registry import resource_types
from local.resources.resource_type import ResourceType, outputs

PATH = "/local/resources"


class ResourceApi:
    """The service below /local."""

    def __init__(self, state: CloudState) -> None:
        self._types = resource_types(state)

    def routes(self) -> list[Route]:
        """Return the routes of this service."""
        one = f"{PATH}/{{type}}/{{id}}"
        return [
            Route("POST", f"{PATH}/{{type}}", self.create),
            Route("GET", one, self.read),
            Route("PUT", one, self.update),
            Route("DELETE", one, self.delete),
        ]

    def create(self, request: Request) -> Response:
        """Create a resource of the body's inputs; the response has its id and outputs."""
        record = self._type(request).create(request.json("inputs"), request.auth_method)
        return Response({"id": record["id"], "outputs": outputs(record)}, 201)

    def read(self, request: Request) -> Response:
        """Show a resource's inputs and outputs; 404 if there is none."""
        record = self._type(request).find(request.names["id"])
        return Response({"inputs": record["inputs"], "outputs": outputs(record)})

    def update(self, request: Request) -> Response:
        """Change a resource to the body's inputs; the response has its outputs."""
        record = self._type(request).update(request.names["id"], request.json("inputs"))
        return Response({"outputs": outputs(record)})

    def delete(self, request: Request) -> Response:
        """Delete a resource; responds when it is gone."""
        self._type(request).delete(request.names["id"])
        return Response(None, 204)

    def _type(self, request: Request) -> ResourceType:
        found = self._types.get(request.names["type"])
        if found is None:
            raise ApiError(NOT_FOUND, f"The local cloud has no {request.names['type']}.")
        return found
