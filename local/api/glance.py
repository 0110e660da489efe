"""Glance v2: the images that a machine may be made from.

https://docs.openstack.org/api-ref/image/v2/
"""

from typing import Any

from local.api.cloud import Cloud
from local.api.http import NOT_FOUND, ApiError, Reply, Request, Route
from local.api.listing import select

NAMES = ("Ubuntu-24.04", "Ubuntu-22.04")


def images(cloud: Cloud) -> list[dict[str, Any]]:
    """All images."""
    return [
        {
            "id": cloud.fixed_id(f"image/{name}"),
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
    """Answers below /image."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        """What this service answers."""
        return [
            Route("GET", "/image", self.versions, public=True),
            Route("GET", "/image/v2/images", self.index),
            Route("GET", "/image/v2/images/{id}", self.show),
        ]

    def versions(self, _request: Request) -> Reply:
        """The one version."""
        link = {"rel": "self", "href": f"{self._cloud.url}/image/v2/"}
        return Reply({"versions": [{"id": "v2.15", "status": "CURRENT", "links": [link]}]}, 300)

    def index(self, request: Request) -> Reply:
        """Images by name and the like."""
        return Reply({"images": select(images(self._cloud), request.query)})

    def show(self, request: Request) -> Reply:
        """An image by id (not by name)."""
        for image in images(self._cloud):
            if image["id"] == request.names["id"]:
                return Reply(image)
        raise ApiError(NOT_FOUND, f"No image found with ID {request.names['id']}.")
