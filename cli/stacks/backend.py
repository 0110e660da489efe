"""A Pulumi backend that is a folder: the state's file, its lock, its disk.

Functions take the backend's URL; other backends than `file://` are left to the engine.
"""

import getpass
import json
import shutil
import socket
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil

from cli.errors import CommandError
from cli.terminal import print_progress
from infra.names import PROJECT

#: A state takes some 100 KB, twice; without space the engine leaves it truncated (Pulumi 3.259).
_NEEDED_MIB = 20
_MIB = 2**20


def folder_of(backend: str) -> Path | None:
    """Return the backend's folder, None where it is not one."""
    if not backend.startswith("file://"):
        return None
    path, _, _ = backend.removeprefix("file://").partition("?")  # options, such as no_tmp_dir
    return Path(unquote(path)).expanduser()


def state_file(backend: str, stack: str) -> Path | None:
    """Return the file with the stack's state, None where the backend is not a folder."""
    folder = folder_of(backend)
    return folder and folder / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"


def resources(backend: str, stack: str) -> list[dict[str, Any]]:
    """Return the resources in a stack's state file, [] where there is none.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON.
    """
    file = state_file(backend, stack)
    state = json.loads(file.read_text(encoding="utf-8")) if file else {}
    latest = (state.get("checkpoint") or {}).get("latest") or {}
    return list(latest.get("resources") or ())


def is_empty(backend: str, stack: str) -> bool:
    """Return whether the backend is a folder, and has no resources of the stack."""
    file = state_file(backend, stack)
    return file is not None and not (file.exists() and resources(backend, stack))


def check_space(backend: str) -> None:
    """Refuse to start where the engine could not write the state.

    Raises:
        CommandError: Less than 20 MiB are free.
    """
    folder = folder_of(backend)
    if folder is None:
        return
    free = shutil.disk_usage(folder).free // _MIB
    if free < _NEEDED_MIB:
        raise CommandError(
            f"The disk of the state's folder {folder} has {free} MiB left: free at least "
            f"{_NEEDED_MIB} MiB, then run the same command again."
        )


def repair(backend: str, stack: str) -> None:
    """Restore a truncated state from the engine's own copy.

    Raises:
        CommandError: The copy is truncated too.
    """
    file = state_file(backend, stack)
    if not file:
        return
    # Content type and hash of the state file: the engine fails if it is truncated, not if missing.
    attributes = file.with_name(file.name + ".attrs")
    if attributes.exists() and not _is_json(attributes):
        attributes.unlink()
    if not file.exists() or _is_json(file):
        return
    copy = file.with_name(file.name + ".bak")
    if not _is_json(copy):
        raise CommandError(
            f"The state {file} is truncated, and so is its copy: restore it from a backup, or "
            f"remove the file and run './pipeline strays --stack {stack}'."
        )
    shutil.copyfile(copy, file)
    print_progress(f"The state was truncated: restored the engine's last copy of it ({copy.name}).")


def has_stale_lock(backend: str, stack: str) -> bool:
    """Look for locks that killed engines left.

    Pulumi writes one JSON file a lock, with pid, username and hostname
    (pulumi/pkg/backend/diy/lock.go).

    Returns:
        Whether the stack is locked, and only by processes of this computer that are gone.
    """
    folder = folder_of(backend)
    if folder is None:
        return False
    locks = list(folder.glob(f".pulumi/locks/**/{PROJECT}/{stack}/*.json"))
    return bool(locks) and all(_is_stale(lock) for lock in locks)


def _is_stale(lock: Path) -> bool:
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        pid, host, user = int(holder["pid"]), holder["hostname"], holder["username"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    here = host == socket.gethostname() and user == getpass.getuser()
    return here and not psutil.pid_exists(pid)


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
