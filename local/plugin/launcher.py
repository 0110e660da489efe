"""The plugin's executable, which the engine starts."""

import shlex
import sys
from importlib.metadata import version
from pathlib import Path

from local import private_file
from local.processes import CHECKOUT


def install(pulumi_home: Path) -> None:
    """Write the executable where the engine looks for the plugin of the installed SDK's version.

    Args:
        pulumi_home: the engine's PULUMI_HOME.
    """
    folder = pulumi_home / "plugins" / f"resource-openstack-v{version('pulumi-openstack')}"
    python, checkout = shlex.quote(sys.executable), shlex.quote(str(CHECKOUT))
    text = f'#!/bin/sh\nPYTHONPATH={checkout} exec {python} -m local.plugin.server "$@"\n'
    private_file.write(folder / "pulumi-resource-openstack", text, mode=0o755)
