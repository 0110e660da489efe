"""Opening a cloud through openstacksdk with what clouds.yaml says and nothing else.

openstacksdk is imported inside: it takes most of a second, and dynamic providers load this module.
"""

# ruff: noqa: PLC0415

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from infra import clouds_yaml
from infra.errors import CloudError

if TYPE_CHECKING:
    from openstack.config import OpenStackConfig
    from openstack.config.cloud_region import CloudRegion
    from openstack.connection import Connection

#: Seconds a single request may take before it counts as lost.
REQUEST_TIMEOUT = 120
#: Keystone's words for a login that it does not know (any more).
_UNKNOWN = re.compile(r"could not (find|recognize)|failed to validate token", re.IGNORECASE)

# What keystoneauth warns of is in the exception that follows, and `sentences` tells it.
logging.getLogger("keystoneauth").addHandler(logging.NullHandler())


def _loader() -> "OpenStackConfig":
    """Return the SDK's reader of clouds.yaml."""
    from openstack.config import OpenStackConfig

    found = clouds_yaml.find()
    # Without variables the SDK would not see OS_CLIENT_CONFIG_FILE either.
    return OpenStackConfig(load_envvars=False, config_files=[str(found)] if found else None)


def _names(loader: "OpenStackConfig") -> list[str]:
    """Entries of the file; without one, the SDK makes up an entry of its own."""
    return sorted(loader.get_cloud_names()) if loader.config_filename else []


def entries() -> tuple[list[str], str]:
    """The names of clouds.yaml's entries, and its path ("" where there is no such file)."""
    with sentences("clouds.yaml"):
        loader = _loader()
        return _names(loader), loader.config_filename or ""


def region_config(entry: str, region: str = "") -> "CloudRegion":
    """What clouds.yaml says of `entry`; no variable fills gaps of it."""
    import openstack.exceptions

    with sentences(entry):
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
    """Let an entry of clouds.yaml name this region: the SDK refuses any that its file does not.

    What there is, the catalog says. Values of the entry for a region that it lists are kept.
    """
    listed = described.get("regions") or []
    if region not in [each["name"] if isinstance(each, dict) else each for each in listed]:
        described.pop("regions", None)
        described["region_name"] = region


def connect(entry: str, region: str = "") -> "Connection":
    """A connection to `entry`; nothing is asked of the cloud yet."""
    from openstack.connection import Connection

    return Connection(config=region_config(entry, region))


@contextmanager
def sentences(entry: str) -> Iterator[None]:
    """Turns what the SDK raises into one sentence that names the entry."""
    import openstack.exceptions
    from keystoneauth1 import exceptions as keystone

    try:
        yield
    except (keystone.Unauthorized, keystone.NotFound) as error:
        # A token or application credential that is gone is 404, as is a path not of Keystone's.
        if isinstance(error, keystone.NotFound) and not _UNKNOWN.search(str(error)):
            raise CloudError(f"Cloud {entry!r} cannot be asked: {first_line(error)}") from None
        raise CloudError(
            f"Cloud {entry!r} refuses the credentials in clouds.yaml ({first_line(error)}): they"
            " are wrong or have expired, so renew them there."
        ) from None
    except keystone.ConnectFailure as error:
        raise CloudError(
            f"Cloud {entry!r} cannot be asked: {_silence(str(error))}; check the network and the"
            " addresses in clouds.yaml, then run the same command again."
        ) from None
    except (keystone.ClientException, openstack.exceptions.SDKException, OSError) as error:
        raise CloudError(f"Cloud {entry!r} cannot be asked: {first_line(error)}") from None


def _silence(told: str) -> str:
    """keystoneauth's text, which repeats itself, as "http://… does not answer (reason)"."""
    address = re.search(r"https?://[^\s'\"]+", told)
    reason = re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", told)
    where = address[0].rstrip(":,.") if address else "it"
    return f"{where} does not answer" + (f" ({reason[1]})" if reason else "")


def fault(body: str) -> str:
    """What an OpenStack fault says, {"badRequest": {"message": "…", "code": 400}}; "" of others."""
    try:
        return str(next(iter(json.loads(body).values()))["message"])
    except (ValueError, AttributeError, StopIteration, TypeError, KeyError):
        return ""


def first_line(error: BaseException) -> str:
    """The first line of what `error` says."""
    return (str(error) or type(error).__name__).splitlines()[0]
