"""Which clouds.yaml is used: Pulumi's provider searches other folders than the SDK."""

import os
import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from clients.errors import CloudError

#: The only variable OS_* that selects a file instead of filling gaps of entries.
VARIABLE = "OS_CLIENT_CONFIG_FILE"


def find() -> Path | None:
    """Return the clouds.yaml that the SDK reads; CloudError where it is absent or not YAML."""
    # The SDK would silently take the next one that it finds.
    from openstack.config.loader import CONFIG_FILES  # noqa: PLC0415 - takes half a second

    named = os.environ.get(VARIABLE)
    if named and not Path(named).is_file():
        raise CloudError(f"{VARIABLE} names {named}, which is not a file: name a clouds.yaml.")
    for name in [named] if named else CONFIG_FILES:
        path = Path(name).absolute()
        if path.exists() and os.access(path, os.R_OK):
            _check_yaml(path)
            return path
    return None


def check_provider_finds(found: Path | None) -> None:
    """Refuse (CloudError) a file that the provider, a separate process, would not find."""
    # It looks into the working folder, the home of the passwd entry (not HOME or XDG_CONFIG_HOME)
    # and /etc (gophercloud/utils, openstack/clientconfig).
    if found is None or os.environ.get(VARIABLE):
        return
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    folders = (Path.cwd(), home / ".config" / "openstack", Path("/etc/openstack"))
    places = [folder / "clouds.yaml" for folder in folders]
    if next((place for place in places if place.exists()), None) != found:
        raise CloudError(
            f"Pulumi's OpenStack provider does not look for clouds.yaml at {found}: run "
            f"'export {VARIABLE}={found}' first (./pipeline env prints it too)."
        )


def harmful_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence about variables that would fill gaps of both clouds' entries."""
    found = sorted(name for name in environment if name.startswith("OS_") and name != VARIABLE)
    if found:
        yield (
            f"The environment sets {', '.join(found)}, which would fill gaps of both clouds: unset"
            " them (credentials come from clouds.yaml alone)."
        )


def _check_yaml(path: Path) -> None:
    try:
        yaml.compose(path.read_bytes(), yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise CloudError(f"{path}{where}: not valid YAML ({reason}); correct it.") from None
