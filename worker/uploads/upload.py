"""An upload: one object version in the input bucket, identified as it was listed."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

#: Version id of objects put while versioning is suspended.
NULL_VERSION = "null"
#: Largest object of a single PUT (S3 API reference, PutObject).
MAX_PUT_BYTES = 5 * 1024**3
#: ETag of an object without content (the MD5 of nothing).
EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
#: Longest object key in bytes of UTF-8 (S3 user guide, "Naming Amazon S3 objects").
MAX_KEY_BYTES = 1024


def whole_seconds(moment: datetime) -> datetime:
    """Return the moment as Last-Modified carries it (RFC 9110, 5.6.7): UTC, whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)


def fits_key(object_key: str) -> bool:
    """Return whether S3 accepts a key of this length."""
    return len(object_key.encode()) <= MAX_KEY_BYTES


def storable(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def key_hash(object_key: str) -> str:
    """Return the SHA-256 in hex by which the ledger indexes a key: of the text that it stores."""
    return hashlib.sha256(storable(object_key).encode()).hexdigest()


@dataclass(frozen=True)
class Upload:
    """An upload's identity, as the bucket was listed: attempts and results are keyed by it.

    Attributes:
        bucket: The input bucket.
        key: The object key.
        version_id: "" where the bucket has no versions.
        etag: Without quotes.
        last_modified: UTC, whole seconds.
        size: In bytes; not part of the identity.
        is_marker: Whether it is a delete marker; not part of the identity.
    """

    bucket: str
    key: str
    version_id: str
    etag: str
    last_modified: datetime
    size: int = field(default=0, compare=False)
    is_marker: bool = field(default=False, compare=False)

    @property
    def is_pinned(self) -> bool:
        """Whether the version id identifies these bytes permanently.

        "null" does not: a bucket whose versioning is suspended puts a newer upload under it.
        """
        return self.version_id not in ("", NULL_VERSION)
