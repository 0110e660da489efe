"""The Pulumi plugin `openstack` of the local cloud."""

import shlex
import sys
from importlib.metadata import version
from pathlib import Path

from local import files
from local.processes import CHECKOUT


def install(pulumi_home: Path) -> None:
    """Write the launcher where the engine looks for the plugin of the installed SDK's version."""
    number = version("pulumi-openstack")
    folder = pulumi_home / "plugins" / f"resource-openstack-v{number}"
    python, checkout = shlex.quote(sys.executable), shlex.quote(str(CHECKOUT))
    text = f'#!/bin/sh\nPYTHONPATH={checkout} exec {python} -m local.plugin.server "$@"\n'
    files.write(folder / "pulumi-resource-openstack", text, mode=0o755)
