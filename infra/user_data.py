"""The machine's user-data: cloud-init's document with the worker in it, packed for Nova.

Byte-identical from every clone, umask and Python: a difference would replace the machine.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zopfli.gzip

from infra.strip import strip

#: What Nova takes, counted after base64 (API reference, "user_data").
NOVA_LIMIT = 65_535
ROOT = Path(__file__).resolve().parent.parent
CLOUD_INIT, WORKER = ROOT / "cloud-init", ROOT / "worker"
#: What of worker/ runs on the machine: sources, migrations and the lock of its packages.
WORKER_SUFFIXES = (".py", ".sql", ".c", ".h", ".toml")
WORKER_LOCK = "requirements.txt"
SOURCE_FOLDER = "/opt/pipeline/source"
CREDENTIALS_FOLDER = "/etc/pipeline/credentials"
TLS_FOLDER = "/etc/pipeline/tls"
UNITS_FOLDER = "/etc/systemd/system"
INTERVAL_MARK = "@INTERVAL@"
HEADER = "#cloud-config\n"


class UserDataTooLargeError(ValueError):
    """The packed document exceeds what Nova takes."""


def worker_files(folder: Path = WORKER) -> dict[str, str]:
    """Path below /opt/pipeline/source -> text of every file of the worker, in a fixed order.

    They come without comments, docstrings and annotations, each language together: that packs
    smaller, and only Nova's limit asks for either.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith((".", "__pycache__")) for part in name.parts)
        wanted = path.suffix in WORKER_SUFFIXES or name.as_posix() == WORKER_LOCK
        if path.is_file() and wanted and not hidden:
            text = path.read_text(encoding="utf-8")
            found[f"worker/{name.as_posix()}"] = strip(path.suffix, text)
    return dict(sorted(found.items(), key=lambda item: (Path(item[0]).suffix, item[0])))


def templates(folder: Path = CLOUD_INIT) -> dict[str, str]:
    """Name -> text of the files of cloud-init/, without comments as the worker's."""
    paths = sorted(folder.iterdir())
    return {path.name: strip(path.suffix, path.read_text(encoding="utf-8")) for path in paths}


def document(
    source: Mapping[str, str],
    pieces: Mapping[str, str],
    *,
    interval: str,
    settings: str,
    credentials: Mapping[str, str],
    certificates: Mapping[str, str],
) -> dict[str, Any]:
    """cloud-init's document as plain data.

    `source` and `pieces` as `worker_files` and `templates` give them; `settings` is worker.toml;
    `credentials` and `certificates` are name -> text. All are written by cloud-init as they stand,
    so that they are compressed once, together.
    """
    files = [_file(f"{SOURCE_FOLDER}/{path}", text, 0o644) for path, text in source.items()]
    files.append(_file("/etc/pipeline/worker.toml", settings, 0o644))
    files += [_file(f"{CREDENTIALS_FOLDER}/{name}", t, 0o600) for name, t in credentials.items()]
    files += [_file(f"{TLS_FOLDER}/{name}", text, 0o600) for name, text in certificates.items()]
    for name, text in pieces.items():
        if name.endswith((".service", ".timer")):
            content = text.replace(INTERVAL_MARK, interval)
            files.append(_file(f"{UNITS_FOLDER}/{name}", content, 0o644))
    files.append(_file("/opt/pipeline/install", pieces["install"], 0o755))
    return {
        "write_files": files,
        # --no-block: cloud-init does not wait for what may be tried again for an hour.
        "runcmd": [["systemctl", "enable", "--now", "--no-block", "pipeline-install.service"]],
    }


def pack(data: Mapping[str, Any]) -> str:
    """The document as Nova takes it: JSON (which is YAML), gzip, base64."""
    text = HEADER + json.dumps(data, ensure_ascii=False, indent=0) + "\n"
    # zopfli and not zlib: interpreters link different ones, which pack differently.
    packed = base64.b64encode(zopfli.gzip.compress(text.encode())).decode()
    if len(packed) > NOVA_LIMIT:
        raise UserDataTooLargeError(_too_large(data, len(packed)))
    return packed


def _too_large(data: Mapping[str, Any], size: int) -> str:
    sizes = {f["path"]: len(zlib.compress(f["content"].encode())) for f in data["write_files"]}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    parts = ", ".join(f"{path} {size:,}" for path, size in largest)
    return (
        f"user-data is {size:,} bytes packed and Nova takes {NOVA_LIMIT:,}: make its largest parts"
        f" smaller (compressed bytes: {parts})."
    )


def _file(path: str, content: str, mode: int) -> dict[str, str]:
    return {
        "path": path,
        "owner": "root:root",
        "permissions": f"{mode:04o}",
        "content": content,
    }
