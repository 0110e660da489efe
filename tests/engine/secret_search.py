"""Where a stack's secrets must not be: in plain text, or where others can read them."""

import base64
import gzip
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def texts(value: Any) -> Iterator[str]:
    """Yield all texts of a document; what is packed in base64 or gzip, also unpacked."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    else:
        yield str(value)
        yield from unpacked(str(value))


def unpacked(text: str) -> Iterator[str]:
    """Yield what a text in base64 holds; a text inside a state may be in quotes."""
    with suppress(ValueError, OSError, EOFError):
        raw = base64.b64decode(text.strip().strip('"'), validate=True)
        yield (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("latin-1")


def files_with(folder: Path, secrets: Collection[str]) -> dict[Path, int]:
    """Return path -> mode of the files below a folder that hold a secret, packed or not."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # deleted meanwhile by a running process
            if path.is_symlink() or not path.is_file():
                continue
            content = path.read_bytes().decode("latin-1")
            if any(secret in text for text in (content, *unpacked(content)) for secret in secrets):
                found[path] = stat.S_IMODE(path.stat().st_mode)
    return found


def is_private(path: Path) -> bool:
    """Whether no other user can read a file: by its own mode, or by that of a folder above."""
    try:
        if not path.stat().st_mode & 0o077:
            return True
    except FileNotFoundError:  # deleted meanwhile by a running process
        return True
    return any(not folder.stat().st_mode & 0o077 for folder in path.parents)


def processes() -> str:
    """Return the command lines and environments of all processes."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found += [*process.cmdline(), *map("=".join, process.environ().items())]
    return "\n".join(found)
