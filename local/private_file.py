"""The project's writer of private files: whole or absent, readable by their owner only."""

import os
import secrets
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents with mode 0700.

    `Path.mkdir(parents=True)` would make the parents with the umask's mode.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def write(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write a file atomically: neither a reader nor a SIGKILL leaves or sees a partial one.

    Args:
        path: the file; missing folders are made with mode 0700.
        content: text is encoded as UTF-8.
        mode: the file's permissions, whatever the umask.
    """
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        part.chmod(mode)  # the umask may have taken bits away
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
