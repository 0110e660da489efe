"""A cloud's service catalog: the regions of a service, and where the object store answers."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clients.connection import cloud_errors, connect, region_config
from clients.errors import CloudError, NotInCloud

if TYPE_CHECKING:
    from openstack.connection import Connection

DEFAULT_PORTS = {"http": 80, "https": 443}


def list_regions(entry: str, service: str) -> list[str]:
    """Return the regions in which an entry's catalog has a service of this type, sorted."""
    with cloud_errors(entry):
        session = connect(entry).session
        access: Any = session.auth.get_access(session)  # type: ignore[union-attr]
    catalog = access.service_catalog.get_endpoints(service_type=service, interface="public")
    return sorted({point["region"] for points in catalog.values() for point in points})


def choose_region(entry: str, service: str, wanted: str, setting: str) -> str:
    """Return the region of a service: the one of the setting, of clouds.yaml, or the only one.

    Raises:
        CloudError: No region has the service, or several have and none is named.
        NotInCloud: The catalog does not have the region that is named.
    """
    found = list_regions(entry, service)
    if not found:
        raise CloudError(f"Cloud {entry!r} has no service of type {service} in its catalog.")
    named = wanted or region_config(entry).get_region_name() or ""
    if named and named not in found:
        raise NotInCloud(setting, named, entry, f"regions for {service}", found)
    if not named and len(found) > 1:
        raise CloudError(
            f"{setting} is missing: cloud {entry!r} has the regions {', '.join(found)} for"
            f" {service}, so name one."
        )
    return named or found[0]


def s3_endpoint(url: str) -> str:
    """Return the S3 endpoint beside a Swift URL: scheme, host, and the port if it is unusual."""
    parts = urlsplit(url)
    if not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = parts.port in (None, DEFAULT_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{host}" if usual else f"{parts.scheme}://{host}:{parts.port}"


def is_container(cloud: "Connection", url: str) -> bool:
    """Return whether Swift shows a container to the login; False where it cannot be queried."""
    from keystoneauth1.exceptions import ClientException  # noqa: PLC0415 - slow, and needed here

    try:
        answer = cloud.session.head(url, raise_exc=False)
    except ClientException:
        return False
    return bool(answer.ok)
