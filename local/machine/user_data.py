"""What a machine is told at its birth: cloud-init's user-data, packed as Nova takes it."""

import base64
import binascii
import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 65535
"""What Nova accepts, after base64 (its `user_data` column)."""
SETTINGS = "/etc/pipeline/worker.toml"


class UserDataError(Exception):
    """The user-data cannot be carried out; the message says why."""


def packed(text: str) -> str:
    """User-data as it travels: base64, done here unless the caller did it (as gophercloud)."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return base64.b64encode(text.encode()).decode()
    return text


def files(text: str) -> list[Mapping[str, Any]]:
    """The `write_files` of packed user-data."""
    raw = base64.b64decode(text)
    try:
        plain = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
        if not plain.startswith("#cloud-config\n"):
            raise UserDataError("The user-data does not begin with '#cloud-config'.")
        found = yaml.load(plain, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, EOFError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserDataError(f"The user-data cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise UserDataError("The user-data is not a mapping.")
    entries: list[Mapping[str, Any]] = found.get("write_files") or []
    return entries


def write(entries: list[Mapping[str, Any]], root: Path) -> None:
    """Write the files below `root` with their modes; owners stay ours."""
    for entry in entries:
        path = root / str(entry["path"]).lstrip("/")
        if ".." in path.parts:
            raise UserDataError(f"The user-data's path {entry['path']} leaves its folder.")
        content = _content(entry)
        if entry["path"] == SETTINGS:
            # The settings name other files by their absolute path on a real machine.
            quoted = str(root).replace("\\", "\\\\").replace('"', '\\"')
            content = content.replace(b'"/etc/pipeline/', f'"{quoted}/etc/pipeline/'.encode())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_bytes(content)
        path.chmod(int(str(entry.get("permissions", "0644")), 8))


def _content(entry: Mapping[str, Any]) -> bytes:
    content, encoding = entry.get("content", ""), str(entry.get("encoding", "")).lower()
    raw = content if isinstance(content, bytes) else str(content).encode()
    if encoding in ("b64", "base64", "gz+b64", "gzip+base64"):
        raw = base64.b64decode(raw)
    return gzip.decompress(raw) if encoding.startswith("gz") else raw
