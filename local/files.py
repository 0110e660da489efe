"""Files that are either whole or absent, readable by their owner only."""

import os
import secrets
from pathlib import Path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Put `text` at `path` so that a reader (or a SIGKILL) never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        part.chmod(mode)  # the umask may have taken bits away
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
