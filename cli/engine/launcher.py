"""The launcher by which the engine runs dynamic providers in Python."""

import os
from pathlib import Path

from cli.paths import cache_folder, make_cache_folder

_NAME = "pulumi-resource-pulumi-python"
_SCRIPT = '#!/bin/sh\nexec "$PULUMI_PYTHON_CMD" -u -m cli.engine.dynamic_host "$@"\n'


def folder_with_launcher() -> Path:
    """Return a folder for PATH with the launcher, which comes before the CLI's own."""
    folder = cache_folder() / "dynamic-host"
    target = folder / _NAME
    if not (target.is_file() and target.read_text() == _SCRIPT):
        make_cache_folder()
        folder.mkdir(exist_ok=True)
        fresh = folder / f".{_NAME}.{os.getpid()}"
        fresh.write_text(_SCRIPT)
        fresh.chmod(0o755)
        fresh.replace(target)
    return folder


def link(source: Path, target: Path) -> None:
    """Make `target` a symbolic link to `source`, whatever was there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(source)
    fresh.replace(target)
