"""The quarantine bucket: the keys of files that cannot be transformed, and their notes."""

import hashlib
import json

from worker.uploads.upload import Upload, fits_key

_NOTE_SUFFIX = ".json"


def quarantine_key(upload: Upload, sha256: str) -> str:
    """Return the object key of a quarantined file; its note is at `note_key` of it.

    Args:
        upload: The upload.
        sha256: The file's hash in hex.

    Returns:
        `<key>/<sha256>`; if that or its note's key is too long for S3, the key's own hash replaces
        the key.
    """
    plain = f"{upload.key}/{sha256}"
    if fits_key(note_key(plain)):
        return plain
    return f"_long/{hashlib.sha256(upload.key.encode()).hexdigest()}/{sha256}"


def note_key(key: str) -> str:
    """Return the object key of the note on a quarantined file."""
    return key + _NOTE_SUFFIX


def note(upload: Upload, sha256: str, reason: str, worker: str) -> bytes:
    """Return the note: why the file was quarantined, and which upload it was, as JSON."""
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
