"""Pulumi's real provider for OpenStack, where this machine has it or can download it."""

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path

NAME = "pulumi-resource-openstack"
_SECONDS = 300


def missing(pulumi: Path, home: Path) -> str | None:
    """Let an engine find the provider; on PATH it finds it by itself.

    Args:
        pulumi: Root of a CLI.
        home: The engine's PULUMI_HOME.

    Returns:
        None, or a sentence why there is no provider.
    """
    if shutil.which(NAME):
        return None
    version = importlib.metadata.version("pulumi-openstack")
    folder = f"plugins/resource-openstack-v{version}"
    own = Path.home() / ".pulumi" / folder
    if (own / NAME).exists():
        shutil.copytree(own, home / folder)
        return None
    command = [str(pulumi / "bin" / "pulumi"), "plugin", "install", "resource", "openstack"]
    try:
        answer = subprocess.run(
            [*command, version],
            env={**os.environ, "PULUMI_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return _sentence(f"no answer in {_SECONDS} s")
    lines = answer.stderr.strip().splitlines() or ["no reason given"]
    return _sentence(lines[-1]) if answer.returncode else None


def _sentence(why: str) -> str:
    return (
        f"Skipped: the program on real OpenStack, because {NAME} is not on PATH and could not be "
        f"downloaded ({why})."
    )
