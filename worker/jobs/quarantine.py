"""The quarantine bucket: the keys of files that cannot be transformed, and their notes.

The archive bucket, where inputs are kept, has the same keys.
"""

import hashlib
import json
from contextlib import suppress

from worker.errors import ObjectMissing
from worker.ledger.ledger import Result
from worker.store.store import Store
from worker.uploads.upload import fits_key

#: Of stored inputs. Not the file's own: no program should open what the transform could not read.
MEDIA_TYPE = "application/octet-stream"
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


def note(result: Result, pipeline: str, machine: str) -> bytes:
    """Return the note: why a file was quarantined, and all that its row contains, as JSON."""
    job, upload, maker = result.job, result.upload, result.maker
    text = {
        "reason": result.reason,
        "pipeline": pipeline,
        "job": job.id,
        "run": job.run_id,
        "round": job.round,
        "retry_of": job.retry_of,
        "parent": job.parent and job.parent.job_id,
        "parent_number": job.parent and job.parent.number,
        "fence": result.fence,
        "attempts": result.attempts,
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id or None,
        "etag": upload.etag,
        "last_modified": upload.last_modified.isoformat(),
        "sha256": result.input_sha256,
        "bytes": result.input_bytes,
        "transform": maker.transform,
        "transform_version": maker.version,
        "parameters_sha256": maker.parameters_sha256,
        "seconds": result.seconds,
        "worker": machine,
        "upload_token": result.upload_token,
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
