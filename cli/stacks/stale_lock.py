"""The lock that a killed engine left in a backend that is a folder."""

import getpass
import json
import socket
from pathlib import Path

import psutil

from cli.stacks.state_folder import folder_of
from infra.names import PROJECT


def stale_lock(backend: str, stack: str) -> bool:
    """Whether every lock of the stack is of this computer and of a process that is gone.

    Pulumi writes one JSON file a lock, with pid, username and hostname
    (pulumi/pkg/backend/diy/lock.go). Other backends' locks are not ours to judge.
    """
    folder = folder_of(backend)
    if folder is None:
        return False
    locks = list(folder.glob(f".pulumi/locks/**/{PROJECT}/{stack}/*.json"))
    return bool(locks) and all(_is_dead(lock) for lock in locks)


def _is_dead(lock: Path) -> bool:
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        pid, host, user = int(holder["pid"]), holder["hostname"], holder["username"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    here = host == socket.gethostname() and user == getpass.getuser()
    return here and not psutil.pid_exists(pid)
