"""System V shared memory: what a PostgreSQL that was killed leaves behind in the kernel.

A few bytes by which it would notice a second server on its data; a clean shutdown removes them.
"""

import ctypes
from pathlib import Path

_REMOVE = 0  # IPC_RMID of <sys/ipc.h>, the same on Linux and macOS
_KEY_LINE = 6  # https://www.postgresql.org/docs/current/storage-file-layout.html (postmaster.pid)


def release(data: Path) -> None:
    """Remove the segment that the data folder's dead server noted; fine when there is none."""
    try:
        noted = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[_KEY_LINE]
        key, identifier = map(int, noted.split())
    except (OSError, IndexError, ValueError):
        return
    library = ctypes.CDLL(None)
    if library.shmget(ctypes.c_int(key), ctypes.c_size_t(0), 0) == identifier:
        library.shmctl(identifier, _REMOVE, None)
