"""Where files go that cannot be transformed, and what is said of them there."""

import hashlib
import json

from worker.uploads.upload import Upload

KEY_BYTES = 1024  # of UTF-8: S3's longest object key
_NOTE = ".json"


def key(upload: Upload, sha256: str) -> str:
    """The file's object key in the quarantine bucket; its note lies beside it, at `note_key`.

    Where `<key>/<sha256>` and its note would be longer than S3 allows, the key's own hash stands
    for the key.
    """
    plain = f"{upload.key}/{sha256}"
    if fits(note_key(plain)):
        return plain
    return f"_long/{hashlib.sha256(upload.key.encode()).hexdigest()}/{sha256}"


def note_key(quarantined: str) -> str:
    """The note's object key, from the file's."""
    return quarantined + _NOTE


def note(upload: Upload, sha256: str, reason: str, worker: str) -> bytes:
    """Why the file is here, and which upload it was."""
    text = {
        "reason": reason,
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id or None,
        "etag": upload.etag,
        "last_modified": upload.last_modified.isoformat(),
        "sha256": sha256,
        "worker": worker,
    }
    return json.dumps(text, ensure_ascii=False, indent=2).encode() + b"\n"


def fits(object_key: str) -> bool:
    """Whether S3 takes a key of this length."""
    return len(object_key.encode()) <= KEY_BYTES
