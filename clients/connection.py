"""Connections to the clouds through openstacksdk, configured by clouds.yaml and nothing else.

openstacksdk is imported inside the functions: it takes most of a second, and every dynamic provider
loads this module.
"""

# ruff: noqa: PLC0415

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clients import clouds_yaml
from clients.errors import CloudError

if TYPE_CHECKING:
    from openstack.config import OpenStackConfig
    from openstack.config.cloud_region import CloudRegion
    from openstack.connection import Connection

#: Seconds after which a single request counts as lost.
REQUEST_TIMEOUT = 120
#: Keystone's messages about an unknown or deleted login.
_UNKNOWN = re.compile(r"could not (find|recognize)|failed to validate token", re.IGNORECASE)

# keystoneauth's warnings repeat what is in the exception that follows.
logging.getLogger("keystoneauth").addHandler(logging.NullHandler())


def _loader() -> "OpenStackConfig":
    """Return the SDK's reader of clouds.yaml."""
    from openstack.config import OpenStackConfig

    found = clouds_yaml.find()
    # Without variables the SDK would not see OS_CLIENT_CONFIG_FILE either.
    return OpenStackConfig(load_envvars=False, config_files=[str(found)] if found else None)


def _names(loader: "OpenStackConfig") -> list[str]:
    """Return the file's entries; without a file, the SDK invents an entry."""
    return sorted(loader.get_cloud_names()) if loader.config_filename else []


def entries() -> tuple[list[str], str]:
    """Return the names of clouds.yaml's entries, and its path ("" without a file)."""
    with cloud_errors("clouds.yaml"):
        loader = _loader()
        return _names(loader), loader.config_filename or ""


def region_config(entry: str, region: str = "") -> "CloudRegion":
    """Return an entry of clouds.yaml, whose gaps no environment variable fills."""
    import openstack.exceptions

    with cloud_errors(entry):
        loader = _loader()
        names = _names(loader)
        if entry not in names:
            raise CloudError(
                f"clouds.yaml has no entry {entry!r}: it has {', '.join(names) or 'none'}"
                f" ({loader.config_filename or 'no clouds.yaml was found'})."
            )
        if region:
            _name_region(loader.cloud_config["clouds"][entry], region)
        options: dict[str, Any] = {"region_name": region} if region else {}
        try:
            return loader.get_one(cloud=entry, api_timeout=REQUEST_TIMEOUT, **options)
        except openstack.exceptions.ConfigException as error:
            raise CloudError(f"Entry {entry!r} of clouds.yaml cannot be used: {error}") from None


def _name_region(described: dict[str, Any], region: str) -> None:
    """Let an entry name this region; what it sets for a listed one is kept."""
    # The SDK refuses regions that the entry does not list, but only the catalog has them all.
    listed = described.get("regions") or []
    if region not in [each["name"] if isinstance(each, dict) else each for each in listed]:
        described.pop("regions", None)
        described["region_name"] = region


def connect(entry: str, region: str = "") -> "Connection":
    """Return a connection to an entry of clouds.yaml; it sends no request yet."""
    from openstack.connection import Connection

    return Connection(config=region_config(entry, region))


@contextmanager
def cloud_errors(entry: str) -> Iterator[None]:
    """Turn the SDK's errors into a CloudError that names the entry."""
    import openstack.exceptions
    from keystoneauth1 import exceptions as keystone

    try:
        yield
    except (keystone.Unauthorized, keystone.NotFound) as error:
        # Keystone answers 404 for a deleted token or application credential and for unknown paths.
        if isinstance(error, keystone.NotFound) and not _UNKNOWN.search(str(error)):
            raise CloudError(f"Cloud {entry!r} cannot be queried: {first_line(error)}") from None
        raise CloudError(
            f"Cloud {entry!r} refuses the credentials in clouds.yaml ({first_line(error)}): they"
            " are wrong or have expired, so renew them there."
        ) from None
    except keystone.ConnectFailure as error:
        raise CloudError(
            f"Cloud {entry!r} cannot be queried: {_no_answer(str(error))}; check the network and"
            " the addresses in clouds.yaml, then run the same command again."
        ) from None
    except (keystone.ClientException, openstack.exceptions.SDKException, OSError) as error:
        raise CloudError(f"Cloud {entry!r} cannot be queried: {first_line(error)}") from None


def _no_answer(text: str) -> str:
    """Shorten keystoneauth's text, which repeats itself, to "http://… does not answer (reason)"."""
    address = re.search(r"https?://[^\s'\"]+", text)
    reason = re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", text)
    where = address[0].rstrip(":,.") if address else "it"
    return f"{where} does not answer" + (f" ({reason[1]})" if reason else "")


def fault(body: str) -> str:
    """Return the message of an OpenStack fault, {"badRequest": {"message": …}}; else ""."""
    try:
        return str(next(iter(json.loads(body).values()))["message"])
    except (ValueError, AttributeError, StopIteration, TypeError, KeyError):
        return ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error) or type(error).__name__).splitlines()[0]
