"""Values as PostgreSQL can store them, and the columns that identify an upload."""

import json
from collections.abc import Mapping
from typing import Any

from worker.uploads.upload import Upload, key_hash, storable


def identity(upload: Upload) -> dict[str, Any]:
    """Return the columns that identify an upload."""
    return {
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id,
        "etag": upload.etag,
        "last_modified": upload.last_modified.isoformat(),
    }


def key_sha256(key: str) -> str:
    """Return the hash by which a key is indexed, as PostgreSQL reads bytea."""
    return rf"\x{key_hash(key)}"


def storable_json(rows: Any) -> str:
    """Return JSON that PostgreSQL can store."""
    text = json.dumps(rows)
    # Escapes of NUL and of lone surrogates, or the text of such an escape: only the rows can tell.
    if "\\u0000" in text or "\\ud" in text:
        text = json.dumps(storable_values(rows))
    return text


def storable_values(value: Any) -> Any:
    """Replace what PostgreSQL's text cannot hold, also inside lists and objects."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | tuple):
        return [storable_values(one) for one in value]
    if isinstance(value, Mapping):
        return {storable(name): storable_values(one) for name, one in value.items()}
    return value
