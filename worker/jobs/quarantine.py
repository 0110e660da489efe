"""The quarantine bucket: the keys of files that cannot be transformed, and their notes.

The archive bucket, where inputs are kept, has the same keys.
"""

import hashlib
import json
from contextlib import suppress

from worker.errors import ObjectMissing
from worker.store.store import Store
from worker.uploads.job import Job
from worker.uploads.upload import fits_key

_NOTE_SUFFIX = ".json"


def storage_key(pipeline: str, key: str, sha256: str) -> str:
    """Return the object key of a stored input; the note on it is at `note_key` of it.

    Args:
        pipeline: The pipeline's name.
        key: The upload's object key.
        sha256: The file's hash in hex.

    Returns:
        `<pipeline>/<key>/<sha256>`; if that or its note's key is too long for S3, the key's own
        hash replaces the key.
    """
    return _storage_key(f"{pipeline}/", key, sha256)


def possible_keys(pipeline: str, key: str, sha256: str) -> list[str]:
    """Return where a stored input may be: until version 0.2 keys did not name the pipeline."""
    return [_storage_key(prefix, key, sha256) for prefix in (f"{pipeline}/", "")]


def _storage_key(prefix: str, key: str, sha256: str) -> str:
    plain = f"{prefix}{key}/{sha256}"
    if fits_key(note_key(plain)):
        return plain
    return f"{prefix}_long/{hashlib.sha256(key.encode()).hexdigest()}/{sha256}"


def note_key(key: str) -> str:
    """Return the object key of the note on a quarantined file."""
    return key + _NOTE_SUFFIX


def note(job: Job, sha256: str, reason: str, worker: str) -> bytes:
    """Return the note: why the file was quarantined, and which upload it was, as JSON."""
    upload = job.upload
    text = {
        "reason": reason,
        "job": job.id,
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id or None,
        "etag": upload.etag,
        "last_modified": upload.last_modified.isoformat(),
        "sha256": sha256,
        "worker": worker,
    }
    return json.dumps(text, ensure_ascii=False, indent=2).encode() + b"\n"


def remove(store: Store, bucket: str, pipeline: str, key: str, sha256: str) -> None:
    """Delete a quarantined file and its note; they may be missing.

    Args:
        store: The object store.
        bucket: The quarantine bucket.
        pipeline: The pipeline's name.
        key: The upload's object key.
        sha256: The file's hash in hex.
    """
    for stored in possible_keys(pipeline, key, sha256):
        for each in (stored, note_key(stored)):
            with suppress(ObjectMissing):
                store.delete_if_unchanged(bucket, each, "", store.head(bucket, each).etag)
