"""Removal of folders that a transform could write to, whatever it left in them."""

import os
import secrets
from contextlib import suppress
from itertools import count
from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TOP = "."


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there.

    shutil.rmtree fails with folders that are nested deeply (RecursionError before Python 3.13) or
    that their owner may not read. Links are not followed; what cannot be removed stays.

    Args:
        folder: The folder.
    """
    empty(folder)
    with suppress(OSError):
        folder.rmdir()


def empty(folder: Path) -> None:
    """Remove all that is in a folder; see `remove`."""
    _permit(folder)
    with suppress(OSError):
        top = os.open(folder, _OPEN)
        try:
            _empty(top)
        finally:
            os.close(top)


def _empty(top: int) -> None:
    """Empty a folder: those below it are moved up into it first, so that no path is long."""
    names = (f"{secrets.token_hex(8)}.{number}" for number in count())
    pending = [_TOP]
    while pending:
        name = pending.pop()
        _permit(name, top)
        with suppress(OSError):
            below = os.open(name, _OPEN, dir_fd=top)
            try:
                for entry in list(os.scandir(below)):
                    with suppress(OSError):
                        if not entry.is_dir(follow_symlinks=False):
                            os.unlink(entry.name, dir_fd=below)
                            continue
                        moved = entry.name
                        if name != _TOP:
                            _permit(moved, below)
                            moved = next(names)
                            os.rename(entry.name, moved, src_dir_fd=below, dst_dir_fd=top)
                        pending.append(moved)
            finally:
                os.close(below)
            if name != _TOP:
                os.rmdir(name, dir_fd=top)


def _permit(name: str | Path, folder: int | None = None) -> None:
    """Let the owner list and change a folder; a link is left alone."""
    with suppress(OSError, ValueError, NotImplementedError):
        os.chmod(name, 0o700, dir_fd=folder, follow_symlinks=False)
