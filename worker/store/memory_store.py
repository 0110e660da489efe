"""The object store in memory, for tests of the layers above it.

tests/worker/test_store_contract.py runs the same checks on it and on real servers.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from worker.errors import DeletionRefused, ObjectMissing, ServiceUnavailable, UploadDeferred
from worker.store.store import (
    MIN_PART_BYTES,
    Contents,
    ObjectInfo,
    PartsUpload,
    Source,
    Stored,
    Version,
)
from worker.uploads.listing import ListedVersion, ListPage
from worker.uploads.upload import whole_seconds

PAGE_ENTRIES = 1000


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class StoredVersion:
    """An object, a version or a delete marker."""

    version_id: str
    last_modified: datetime
    content: bytes = b""
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_marker: bool = False

    @property
    def etag(self) -> str:
        """The MD5 in hex, as S3 has it for a single PUT; "" for a delete marker."""
        if self.is_marker:
            return ""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


class MemoryStore:
    """Implements `Store`; what a user does is `upload` and `delete`.

    Args:
        buckets: The names of the buckets.
        versioned: Those that have versions.
        checks_etag: Whether conditional requests are honoured; rclone ignores them.
        counts_objects: Whether it says how many objects a bucket holds, as Ceph RGW does.
        clock: Returns the time of a PUT.
    """

    def __init__(
        self,
        buckets: Iterable[str],
        *,
        versioned: Iterable[str] = (),
        checks_etag: bool = True,
        counts_objects: bool = False,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        # Versions are newest first, as in a listing.
        self._buckets: dict[str, dict[str, list[StoredVersion]]] = {name: {} for name in buckets}
        self._versioned, self._checks_etag, self._clock = set(versioned), checks_etag, clock
        self._counts_objects = counts_objects
        self._numbers = count(1)
        self._begun: dict[str, _PartsUpload] = {}
        self._locked: set[tuple[str, str]] = set()
        self._lock = threading.RLock()

    def upload(
        self,
        bucket: str,
        key: str,
        content: bytes,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Put an object as a user does; return its version id, "" without versions."""
        with self._lock:
            versions = self._bucket(bucket).setdefault(key, [])
            version_id = str(next(self._numbers)) if bucket in self._versioned else ""
            if not version_id:
                versions.clear()
            stored = StoredVersion(
                version_id, self._clock(), content, content_type, dict(metadata or {})
            )
            versions.insert(0, stored)
            return version_id

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object as a user does: with versions, a delete marker is added."""
        with self._lock:
            if bucket in self._versioned:
                marker = StoredVersion(str(next(self._numbers)), self._clock(), is_marker=True)
                self._bucket(bucket).setdefault(key, []).insert(0, marker)
            else:
                self._bucket(bucket).pop(key, None)

    def lock(self, bucket: str, key: str) -> None:
        """Keep all versions of a key from being deleted, as Object Lock does."""
        self._locked.add((bucket, key))

    def unlock(self, bucket: str, key: str) -> None:
        """Allow the deletion again."""
        self._locked.discard((bucket, key))

    def versions(self, bucket: str) -> dict[str, list[StoredVersion]]:
        """Return what a bucket holds, by key, newest first."""
        with self._lock:
            return {key: list(stored) for key, stored in sorted(self._bucket(bucket).items())}

    def is_versioned(self, bucket: str) -> bool:
        """See `Store.is_versioned`."""
        self.check_bucket(bucket)
        return bucket in self._versioned

    def check_bucket(self, bucket: str, *, soon: bool = False) -> None:
        """See `Store.check_bucket`."""
        del soon
        self._bucket(bucket)

    def object_count(self, bucket: str) -> int | None:
        """See `Store.object_count`."""
        if not self._counts_objects or bucket not in self._buckets:
            return None
        stored = (one for each in self.versions(bucket).values() for one in each)
        return sum(not one.is_marker for one in stored)

    def list_pages(self, bucket: str, *, versions: bool, prefix: str = "") -> Iterator[ListPage]:
        """See `Store.list_pages`."""
        listed = [
            ListedVersion(
                key,
                one.last_modified,
                one.version_id if versions else "",
                one.etag,
                len(one.content),
                is_latest=number == 0,
                is_marker=one.is_marker,
            )
            for key, stored in self.versions(bucket).items()
            for number, one in enumerate(stored)
            if key.startswith(prefix)
            if versions or (number == 0 and not one.is_marker)
        ]
        for start in range(0, len(listed) or 1, PAGE_ENTRIES):
            page = listed[start : start + PAGE_ENTRIES]
            more = versions and start + PAGE_ENTRIES < len(listed)
            yield ListPage(page, page[-1].key if more else None)

    def get(
        self, bucket: str, key: str, version_id: str, etag: str, target: Path
    ) -> tuple[ObjectInfo, str]:
        """See `Store.get`."""
        stored = self._read(bucket, key, version_id, etag)
        target.write_bytes(stored.content)
        return _info(stored), hashlib.sha256(stored.content).hexdigest()

    def read(
        self, bucket: str, key: str, version_id: str, etag: str, size: int
    ) -> tuple[ObjectInfo, str, bytes]:
        """See `Store.read`."""
        stored = self._read(bucket, key, version_id, etag)
        return _info(stored), hashlib.sha256(stored.content).hexdigest(), stored.content[:size]

    @contextmanager
    def open(
        self, bucket: str, key: str, version_id: str = ""
    ) -> Iterator[tuple[ObjectInfo, Iterator[bytes]]]:
        """See `Store.open`."""
        found = self._stored(bucket, key, version_id)
        yield _info(found), iter([found.content])

    def hash(self, bucket: str, key: str, version_id: str, etag: str) -> tuple[ObjectInfo, str]:
        """See `Store.hash`."""
        stored = self._read(bucket, key, version_id, etag)
        return _info(stored), hashlib.sha256(stored.content).hexdigest()

    def head(self, bucket: str, key: str, version_id: str = "") -> ObjectInfo:
        """See `Store.head`."""
        return _info(self._stored(bucket, key, version_id))

    def put(
        self,
        bucket: str,
        key: str,
        contents: Contents,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> Stored:
        """See `Store.put`."""
        body = contents.body
        content = body if isinstance(body, bytes) else body.read_bytes()
        version_id = self.upload(bucket, key, content, content_type, metadata)
        return Stored(version_id, hashlib.md5(content, usedforsecurity=False).hexdigest())

    def put_parts(
        self, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> PartsUpload:
        """See `Store.put_parts`."""
        self._bucket(bucket)
        made = _PartsUpload(self, bucket, key, content_type, metadata)
        made.id = str(next(self._numbers))
        self._begun[made.id] = made
        return made

    def abort_parts(self, bucket: str, key: str, upload_id: str) -> None:
        """See `Store.abort_parts`."""
        self._bucket(bucket)
        if made := self._begun.get(upload_id):
            made.abort()

    def copy(
        self, source: Source, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """See `Store.copy`."""
        stored = self._stored(source.bucket, source.key, source.version_id)
        if stored.etag != source.etag:
            raise ObjectMissing(source.key)
        self.upload(bucket, key, stored.content, content_type, metadata)

    def delete_versions(
        self, bucket: str, versions: Sequence[Version]
    ) -> dict[Version, UploadDeferred]:
        """See `Store.delete_versions`."""
        failures: dict[Version, UploadDeferred] = {}
        for key, version_id in versions:
            with self._lock:
                try:
                    self._remove(bucket, key, version_id)
                except DeletionRefused as error:
                    failures[key, version_id] = error
        return failures

    def delete_if_unchanged(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        """See `Store.delete_if_unchanged`."""
        with self._lock:
            stored = self._stored(bucket, key, version_id)
            if self._checks_etag and stored.etag != etag:
                raise ObjectMissing(key)
            self._remove(bucket, key, stored.version_id)

    def _bucket(self, bucket: str) -> dict[str, list[StoredVersion]]:
        try:
            return self._buckets[bucket]
        except KeyError:
            raise ServiceUnavailable(f"The bucket {bucket!r} does not exist.") from None

    def _stored(self, bucket: str, key: str, version_id: str) -> StoredVersion:
        with self._lock:
            for stored in self._bucket(bucket).get(key, []):
                if version_id in ("", stored.version_id):
                    if stored.is_marker:
                        break
                    return stored
        raise ObjectMissing(key)

    def _read(self, bucket: str, key: str, version_id: str, etag: str) -> StoredVersion:
        stored = self._stored(bucket, key, version_id)
        if self._checks_etag and not version_id and stored.etag != etag:
            raise ObjectMissing(key)
        return stored

    def _remove(self, bucket: str, key: str, version_id: str) -> None:
        objects = self._bucket(bucket)
        if (bucket, key) in self._locked:
            raise DeletionRefused(
                f"The bucket {bucket!r} refused to delete {key!r} (AccessDenied)."
            )
        left = [one for one in objects.pop(key, []) if one.version_id != version_id]
        if left:
            objects[key] = left


class _PartsUpload:
    """Implements `PartsUpload`."""

    def __init__(
        self,
        store: MemoryStore,
        bucket: str,
        key: str,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> None:
        self._store, self._bucket, self._key = store, bucket, key
        self._content_type, self._metadata = content_type, metadata
        self._parts: list[bytes] = []
        self.id = ""

    def add(self, content: bytes) -> None:
        """See `PartsUpload.add`."""
        self._parts.append(content)

    def complete(self) -> Stored:
        """See `PartsUpload.complete`."""
        if not self._parts or any(len(part) < MIN_PART_BYTES for part in self._parts[:-1]):
            raise UploadDeferred(f"The bucket {self._bucket!r} refused the parts of {self._key!r}.")
        content, what = b"".join(self._parts), (self._content_type, self._metadata)
        version_id = self._store.upload(self._bucket, self._key, content, *what)
        return Stored(version_id, hashlib.md5(content, usedforsecurity=False).hexdigest())

    def abort(self) -> None:
        """See `PartsUpload.abort`."""
        self._parts.clear()


def _info(stored: StoredVersion) -> ObjectInfo:
    moment = whole_seconds(stored.last_modified)
    return ObjectInfo(
        stored.etag, moment, len(stored.content), stored.metadata, stored.content_type
    )
