"""The interface of the object store, implemented over S3 and, for tests, in memory."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

from worker.errors import UploadDeferred
from worker.uploads.listing import ListPage

# Bytes of a file that are read at once; a file without more is also sent from memory.
_CHUNK = 1 << 20
# Copied for each hash: that takes a quarter of the time in which OpenSSL 3 finds the algorithm.
_SHA256, _MD5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

#: Parts of one object at most, and bytes of each but the last at least (S3 user guide, "Amazon S3
#: multipart upload limits").
MAX_PARTS, MIN_PART_BYTES = 10_000, 5 << 20
#: An object's key and version id.
Version = tuple[str, str]


class ObjectInfo(NamedTuple):
    """What GET and HEAD report about an object.

    Attributes:
        etag: Without quotes.
        last_modified: UTC, whole seconds; None if the store did not send it. The listing may show
            another time (see quirks.py).
        size: In bytes; of GET, the bytes that were received.
        metadata: User metadata by lower-case name; anybody who may write the object can forge it.
        content_type: Its media type.
        is_manifest: Whether it is a large object of Swift's: it is listed with another ETag and
            size (quirks.MANIFEST_IS_LISTED) and cannot be copied.
    """

    etag: str
    last_modified: datetime | None
    size: int
    metadata: Mapping[str, str] = MappingProxyType({})
    content_type: str = ""
    is_manifest: bool = False

    def is_same_put(self, other: "ObjectInfo") -> bool:
        """Return whether both describe the result of the same PUT."""
        times = {self.last_modified, other.last_modified} - {None}
        return self.etag == other.etag and len(times) < 2  # noqa: PLR2004


class Contents(NamedTuple):
    """What is to be stored.

    Attributes:
        body: The bytes, or the file that has them.
        sha256: In hex.
        md5: The 16 bytes; S3 checks a PUT by them (Content-MD5). b"" leaves that to the signature,
            which has the SHA-256: it saves a third of the CPU time of a PUT.
        size: In bytes.
    """

    body: Path | bytes
    sha256: str
    md5: bytes
    size: int


class Stored(NamedTuple):
    """An object that was put.

    Attributes:
        version_id: "" where the bucket has no versions.
        etag: Without quotes.
        was_repeated: Whether the request was sent again, so that there may be further versions.
    """

    version_id: str
    etag: str
    was_repeated: bool = False


@dataclass(frozen=True)
class Source:
    """An object to copy.

    Attributes:
        bucket: The bucket.
        key: The object key.
        version_id: "" where the bucket has no versions.
        etag: The ETag that it must have, without quotes.
    """

    bucket: str
    key: str
    version_id: str
    etag: str


def hash_file(path: Path) -> Contents:
    """Read a file; return its hashes and size, and its content if that is at most 1 MiB."""
    sha256, md5, size = _SHA256.copy(), _MD5.copy(), 0
    with path.open("rb", buffering=0) as file:
        # Not all of it: a process that made it may append to it without end.
        most = min(os.fstat(file.fileno()).st_size, _CHUNK) + 1
        chunk = file.read(most)
        if len(chunk) < most:
            return hash_bytes(chunk)
        while chunk:
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
            chunk = file.read(_CHUNK)
    return Contents(path, sha256.hexdigest(), md5.digest(), size)


def contents_of(body: Path | bytes) -> Contents:
    """Return a file or bytes with their hashes and size."""
    return hash_bytes(body) if isinstance(body, bytes) else hash_file(body)


def hash_bytes(content: bytes) -> Contents:
    """Return bytes with their hashes."""
    sha256, md5 = _SHA256.copy(), _MD5.copy()
    sha256.update(content)
    md5.update(content)
    return Contents(content, sha256.hexdigest(), md5.digest(), len(content))


class PartsUpload(Protocol):
    """An object whose content arrives in parts: nothing is in the bucket until it is completed.

    All methods raise ServiceUnavailable and UploadDeferred as those of `Store` do.

    Attributes:
        id: Stands for it in the store, for `Store.abort_parts`.
    """

    id: str

    def add(self, content: bytes) -> None:
        """Store the next part.

        Args:
            content: All parts but the last have at least `MIN_PART_BYTES`.
        """

    def complete(self) -> Stored:
        """Make the object of the parts, of which there is at least one, and verify its size."""

    def abort(self) -> None:
        """Delete the parts that are stored. Without it they stay, invisible, until someone does."""


class Store(Protocol):
    """An object store with some buckets. Every method may be called from several threads.

    All methods raise ServiceUnavailable if the store or a bucket cannot be used at all. Those for
    one object raise UploadDeferred if a request for it failed while the bucket responds.
    """

    def is_versioned(self, bucket: str) -> bool:
        """Return whether the bucket has, or once had, versions."""

    def check_bucket(self, bucket: str, *, soon: bool = False) -> None:
        """Raise ServiceUnavailable unless the bucket exists and may be used.

        Args:
            bucket: The bucket.
            soon: Whether a store that hangs is noticed after seconds, because a person waits.
        """

    def object_count(self, bucket: str) -> int | None:
        """Return how many objects a bucket holds: each version is one, a delete marker none.

        None if the store does not say so, refuses to, or does not respond
        (quirks.OBJECTS_ARE_COUNTED).
        """

    def list_pages(self, bucket: str, *, versions: bool, prefix: str = "") -> Iterator[ListPage]:
        """List a bucket.

        Args:
            bucket: The bucket.
            versions: Whether to list all versions and delete markers.
            prefix: Only keys that begin with it.

        Yields:
            Pages of at most 1,000 entries, in the order of the keys, newest first within each.
        """

    def get(
        self, bucket: str, key: str, version_id: str, etag: str, target: Path
    ) -> tuple[ObjectInfo, str]:
        """Download an object.

        Args:
            bucket: The bucket.
            key: The object key.
            version_id: The version to read, "" for the object itself.
            etag: Without a version id, the ETag that the object must still have; some stores do not
                check it, so the caller compares the returned one.
            target: The file to write; it is replaced.

        Returns:
            What was read, and its SHA-256 in hex. The size differs from the listed one if the
            response was truncated and the store sent no length.

        Raises:
            ObjectMissing: The object does not exist, or has another ETag.
        """

    def read(
        self, bucket: str, key: str, version_id: str, etag: str, size: int
    ) -> tuple[ObjectInfo, str, bytes]:
        """Read a small object into memory, otherwise as `get` does.

        Args:
            bucket: The bucket.
            key: The object key.
            version_id: See `get`.
            etag: See `get`.
            size: How many bytes are kept: the object may have become larger since it was listed.

        Returns:
            What was read, the SHA-256 of the whole object in hex, and its first `size` bytes.

        Raises:
            ObjectMissing: The object does not exist, or has another ETag.
        """

    def open(
        self, bucket: str, key: str, version_id: str = ""
    ) -> AbstractContextManager[tuple[ObjectInfo, Iterator[bytes]]]:
        """Read an object in pieces, with little memory and no file.

        Args:
            bucket: The bucket.
            key: The object key.
            version_id: The version to read, "" for the object itself.

        Returns:
            A context with what was found, and the content in pieces. If the store ends the response
            early, the next piece raises UploadDeferred.

        Raises:
            ObjectMissing: The object does not exist; raised when the context is entered.
        """

    def hash(self, bucket: str, key: str, version_id: str, etag: str) -> tuple[ObjectInfo, str]:
        """Read an object as `get` does, but do not keep it: for objects larger than the disk."""

    def head(self, bucket: str, key: str, version_id: str = "") -> ObjectInfo:
        """Return the current state of an object, or of one version of it.

        Raises:
            ObjectMissing: It does not exist, or is a delete marker.
        """

    def put(
        self,
        bucket: str,
        key: str,
        contents: Contents,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> Stored:
        """Store an object, and verify that it arrived whole.

        Args:
            bucket: The bucket.
            key: The object key.
            contents: The file or the bytes.
            content_type: Its media type.
            metadata: User metadata by lower-case name.

        Returns:
            What was stored.
        """

    def put_parts(
        self, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> PartsUpload:
        """Begin an object whose content arrives in parts.

        Args:
            bucket: The bucket.
            key: The object key.
            content_type: Its media type.
            metadata: User metadata by lower-case name.

        Returns:
            To be completed or aborted.
        """

    def abort_parts(self, bucket: str, key: str, upload_id: str) -> None:
        """Delete the parts of an object that another process began; it is no error if it has none.

        Args:
            bucket: The bucket.
            key: The object key.
            upload_id: `PartsUpload.id`.
        """

    def copy(
        self, source: Source, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Copy an object of any size within the store.

        Args:
            source: The object, with the ETag that it must have.
            bucket: The bucket to copy to.
            key: The copy's key.
            content_type: The copy's media type.
            metadata: The copy's user metadata, instead of the source's.

        Raises:
            ObjectMissing: The source does not exist, or has another ETag.
        """

    def delete_versions(
        self, bucket: str, versions: Sequence[Version]
    ) -> dict[Version, UploadDeferred]:
        """Delete versions or delete markers for good; a missing one is not an error.

        Args:
            bucket: The bucket.
            versions: Any number; they are deleted in this order, except those that share a
                request.

        Returns:
            The versions that could not be deleted, with the reasons: DeletionRefused where the
            store refuses to delete this version but not others.
        """

    def delete_if_unchanged(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        """Delete an object if it still has an ETag, as far as the store checks that (quirks.py).

        Args:
            bucket: The bucket.
            key: The object key.
            version_id: "", or "null" in a bucket that had versions.
            etag: The expected ETag.

        Raises:
            ObjectMissing: The object has another ETag. Some stores also report a missing object so.
            DeletionRefused: The store refuses to delete this object but not others.
        """
