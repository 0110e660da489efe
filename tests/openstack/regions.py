"""A second region in the catalog of one of the two clouds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.openstack.services.layout import HOST
from tests.openstack.services.stack import OpenStack


@contextmanager
def second_region(
    cloud: OpenStack, entry: str, name: str, ports: Mapping[str, int]
) -> Iterator[None]:
    """The same services under another region's name; those of the types in `ports` elsewhere."""
    with cloud.admin(entry) as admin:
        identity: Any = admin.identity
        kinds = {service.id: service.type for service in identity.services()}
        first = list(identity.endpoints(interface="public"))
        identity.create_region(id=name)
        made = [
            identity.create_endpoint(
                service_id=each.service_id,
                interface="public",
                region_id=name,
                url=_at(each.url, ports.get(kinds[each.service_id])),
            )
            for each in first
        ]
        try:
            yield
        finally:
            for each in made:
                identity.delete_endpoint(each)
            identity.delete_region(name)


def _at(url: str, port: int | None) -> str:
    return urlsplit(url)._replace(netloc=f"{HOST}:{port}").geturl() if port else url
