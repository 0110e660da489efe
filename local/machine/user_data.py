"""cloud-init's user-data, packed as Nova takes it.

https://cloudinit.readthedocs.io/en/latest/explanation/format.html
"""

import base64
import binascii
import gzip
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from local.errors import InvalidUserData

MAX_BYTES = 65535
"""The size that Nova accepts after base64 (its `user_data` column)."""
SETTINGS = "/etc/pipeline/worker.toml"
_LOOPBACK = "127.0.0.1"


def pack(text: str) -> str:
    """Return user-data in base64, as it travels; what is base64 already stays as it is.

    gophercloud encodes plain user-data in the same way.
    """
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return base64.b64encode(text.encode()).decode()
    return text


def files(packed: str) -> Sequence[Mapping[str, Any]]:
    """Return the entries of `write_files` in packed user-data.

    Raises:
        InvalidUserData: it is not cloud-config.
    """
    raw = base64.b64decode(packed)
    try:
        plain = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
        if not plain.startswith("#cloud-config\n"):
            raise InvalidUserData("The user-data does not begin with '#cloud-config'.")
        found = yaml.load(plain, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, EOFError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidUserData(f"The user-data cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise InvalidUserData("The user-data is not a mapping.")
    entries: list[Mapping[str, Any]] = found.get("write_files") or []
    return entries


def loopback_ports(packed: str) -> list[int]:
    """Return the ports of 127.0.0.1 that the worker's settings in the user-data name.

    [] where the user-data cannot be read: cloud-init is to report that.
    """
    try:
        entries = files(packed)
    except InvalidUserData:
        return []
    text = next((str(e["content"]) for e in entries if e["path"] == SETTINGS), "")
    settings = tomllib.loads(text)
    store = urlsplit(str(settings.get("store", {}).get("endpoint", "")))
    database = settings.get("database", {})
    named = [(store.hostname, store.port), (database.get("host"), database.get("port"))]
    return sorted({int(port) for host, port in named if host == _LOOPBACK and port})


def write(entries: Sequence[Mapping[str, Any]], root: Path) -> None:
    """Write the files of `write_files` below `root` with their modes; owners are not changed.

    Args:
        entries: what `files` returned.
        root: the folder that stands for `/`.

    Raises:
        InvalidUserData: a path leaves `root`.
    """
    for entry in entries:
        path = root / str(entry["path"]).lstrip("/")
        if ".." in path.parts:
            raise InvalidUserData(f"The user-data's path {entry['path']} leaves its folder.")
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
