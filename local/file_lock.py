"""The project's file lock: flock(2), which the kernel releases when its process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.errors import LockHeld


@contextmanager
def hold(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock on a file or folder; raises FileNotFoundError where there is none.

    A folder is locked itself, so that no lock file is left behind.

    Args:
        path: the existing file or folder.
        wait: whether to wait for a process that holds the lock.

    Yields:
        Nothing; the lock is held inside the `with` block.

    Raises:
        LockHeld: another process holds the lock, and `wait` is false.
    """
    with ExitStack() as opened:
        while True:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise LockHeld(f"Another process holds the lock on {path}.") from None
            # Its holder may have removed the path meanwhile, or made it anew.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                break
        yield
