"""Glance v2: the images that servers are made from.

https://docs.openstack.org/api-ref/image/v2/
"""

from typing import Any

from local.api.http import NOT_FOUND, Request, Response, Route, select
from local.api.state import CloudState
from local.errors import ApiError

NAMES = ("Ubuntu-24.04", "Ubuntu-22.04")


def images(state: CloudState) -> list[dict[str, Any]]:
    """Return all images."""
    return [
        {
            "id": state.fixed_id(f"image/{name}"),
            "name": name,
            "status": "active",
            "visibility": "public",
            "os_hidden": False,
            "protected": True,
            "min_disk": 0,
            "min_ram": 0,
            "size": 0,
            "disk_format": "raw",
            "container_format": "bare",
            "tags": [],
            "created_at": "2024-04-25T00:00:00Z",
            "updated_at": "2024-04-25T00:00:00Z",
        }
        for name in NAMES
    ]


class Glance:
    """The service below /image."""

    def __init__(self, state: CloudState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes of this service."""
        return [
            Route("GET", "/image", self.versions, public=True),
            Route("GET", "/image/v2/images", self.index),
            Route("GET", "/image/v2/images/{id}", self.show),
        ]

    def versions(self, _request: Request) -> Response:
        """List the only version, with status 300 as for every unversioned URL."""
        link = {"rel": "self", "href": f"{self._state.url}/image/v2/"}
        return Response({"versions": [{"id": "v2.15", "status": "CURRENT", "links": [link]}]}, 300)

    def index(self, request: Request) -> Response:
        """List the images that match the query."""
        return Response({"images": select(images(self._state), request.query)})

    def show(self, request: Request) -> Response:
        """Show an image by its id (not its name)."""
        for image in images(self._state):
            if image["id"] == request.names["id"]:
                return Response(image)
        raise ApiError(NOT_FOUND, f"No image found with ID {request.names['id']}.")
