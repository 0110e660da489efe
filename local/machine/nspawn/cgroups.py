"""The guest's control groups: all are below one per machine, so that none is left."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def make(identifier: str) -> list[Path]:
    """Make the machine's control group in each hierarchy that systemd-nspawn uses.

    Args:
        identifier: the server's id.

    Returns:
        The groups' folders.
    """
    groups = _groups(identifier)
    for group in groups:
        group.mkdir(exist_ok=True)
    return groups


def enter(groups: Sequence[Path]) -> None:
    """Move the calling process into the groups."""
    for group in groups:
        (group / "cgroup.procs").write_text("0")


def remove(identifier: str) -> None:
    """Remove the machine's groups with all that the guest made below; its processes have ended."""
    for group in _groups(identifier):
        for below in sorted(group.rglob("*"), reverse=True):
            if below.is_dir():
                with contextlib.suppress(OSError):
                    below.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()


def _groups(identifier: str) -> list[Path]:
    return [each / f"image-pipeline-{identifier}" for each in _hierarchies()]


def _hierarchies() -> list[Path]:
    """Where systemd-nspawn makes groups: cgroup v2, or v1's `systemd` and its v2 twin."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [each for each in (_ROOT / "systemd", _ROOT / "unified") if each.is_dir()]
