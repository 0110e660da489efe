"""Files for the owner's eyes only."""

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder and its parents, each mode 0700 (mkdir's own would leave the parents open)."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Put `text` at `path`, mode 0600 in folders of mode 0700; whole or not at all."""
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
