"""The machine's user-data: cloud-init's document, packed for Nova.

Its bytes are the same from every clone, umask and Python: a difference would replace the machine.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zopfli.gzip

from infra.errors import UserDataTooLarge

#: Nova's limit, counted after base64 (API reference, "user_data").
NOVA_LIMIT = 65_535
CLOUD_INIT = Path(__file__).resolve().parents[2] / "cloud-init"
SOURCE_FOLDER = "/opt/pipeline/source"
CREDENTIALS_FOLDER = "/etc/pipeline/credentials"
SECRETS_FOLDER = "/etc/pipeline/secrets"
ROOT_CERTIFICATE = "/etc/pipeline/database-root.crt"
UNITS_FOLDER = "/etc/systemd/system"
INTERVAL_MARK = "@INTERVAL@"
HEADER = "#cloud-config\n"


def templates(folder: Path = CLOUD_INIT) -> dict[str, str]:
    """Return name -> text of the files of cloud-init/."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def document(
    source: Mapping[str, str],
    pieces: Mapping[str, str],
    *,
    interval: str,
    settings: str,
    credentials: Mapping[str, str],
    secrets: Mapping[str, str],
    root_certificate: str,
) -> dict[str, Any]:
    """Assemble cloud-init's document; `source` is archive.bootstrap(), `pieces` are templates()."""
    # All files go in as plain text, so that they are compressed together.
    files = [_file(f"{SOURCE_FOLDER}/{path}", text, 0o644) for path, text in source.items()]
    files.append(_file("/etc/pipeline/worker.toml", settings, 0o600))
    files += [_file(f"{CREDENTIALS_FOLDER}/{name}", t, 0o600) for name, t in credentials.items()]
    files += [_file(f"{SECRETS_FOLDER}/{name}", text, 0o600) for name, text in secrets.items()]
    if root_certificate:
        files.append(_file(ROOT_CERTIFICATE, root_certificate, 0o644))
    for name, text in pieces.items():
        if name.endswith((".service", ".timer", ".slice")):
            content = text.replace(INTERVAL_MARK, interval)
            files.append(_file(f"{UNITS_FOLDER}/{name}", content, 0o644))
    files.append(_file("/opt/pipeline/install", pieces["install"], 0o755))
    return {
        "write_files": files,
        # --no-block: cloud-init does not wait for what may be tried again for an hour.
        "runcmd": [["systemctl", "enable", "--now", "--no-block", "pipeline-install.service"]],
    }


def pack(data: Mapping[str, Any]) -> str:
    """Pack a document as Nova takes it: JSON (which is YAML), gzip, base64."""
    text = HEADER + json.dumps(data, ensure_ascii=False, indent=0) + "\n"
    # zopfli, since interpreters link different versions of zlib, which compress differently; more
    # iterations save 0.4 % and take three times as long.
    packed = base64.b64encode(zopfli.gzip.compress(text.encode(), numiterations=1)).decode()
    if len(packed) > NOVA_LIMIT:
        raise UserDataTooLarge(_too_large(data, len(packed)))
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
    return {"path": path, "owner": "root:root", "permissions": f"{mode:04o}", "content": content}
