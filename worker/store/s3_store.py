"""Bucket operations over S3.

They work on stores without versions and without conditional requests; quirks.py lists the
differences.
"""

import io
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from worker.errors import ObjectMissing, RequestRefused, ServiceUnavailable, UploadDeferred
from worker.settings import Settings, StoreSettings
from worker.store import quirks, s3_deletion
from worker.store.client import SHA256
from worker.store.retries import DOWNLOAD, PROBE, SOON, STANDARD
from worker.store.s3_copy import Copy
from worker.store.s3_listing import ListingUnreadable, Page, list_pages, parse
from worker.store.s3_multipart import UNKNOWN_UPLOAD, S3Multipart
from worker.store.s3_requests import S3Requests, version_query
from worker.store.store import Contents, ObjectInfo, PartsUpload, Source, Stored, Version
from worker.uploads.listing import ListPage
from worker.uploads.upload import NULL_VERSION, whole_seconds

_METADATA = "x-amz-meta-"
#: Headers of Swift's large objects, dynamic and static, as Ceph RGW sends them over S3.
_MANIFESTS = ("x-object-manifest", "x-object-meta-static-large-object")


def open_store(settings: Settings) -> "S3Store":
    """Return the stack's object store; the two credentials `s3-…` are read."""
    access, secret = settings.credential("s3-access-key"), settings.credential("s3-secret-key")
    return S3Store(settings.store, access, secret)


class S3Store:
    """Implements `Store` for one S3 endpoint."""

    def __init__(self, settings: StoreSettings, access: str, secret: str) -> None:
        self._requests = S3Requests(settings, access, secret)

    def is_versioned(self, bucket: str) -> bool:
        """See `Store.is_versioned`."""
        try:
            response = self._requests.call("GET", bucket, query={"versioning": ""}).xml()
        except RequestRefused as error:
            if quirks.NO_VERSIONING.explains(error):
                return False
            raise self._requests.bucket_error(bucket, error) from error
        return response.findtext("Status") in ("Enabled", "Suspended")

    def check_bucket(self, bucket: str, *, soon: bool = False) -> None:
        """See `Store.check_bucket`."""
        self._requests.check(bucket, SOON if soon else STANDARD)

    def object_count(self, bucket: str) -> int | None:
        """See `Store.object_count`."""
        query = {"read-stats": "true"}
        try:
            response = self._requests.call("HEAD", bucket, query=query, retry=PROBE)
        except (RequestRefused, ServiceUnavailable):
            return None
        count = response.headers.get("x-rgw-object-count", "")
        return int(count) if count.isdecimal() else None

    def list_pages(self, bucket: str, *, versions: bool, prefix: str = "") -> Iterator[ListPage]:
        """See `Store.list_pages`."""

        def fetch(query: dict[str, str]) -> Page:
            try:
                return parse(self._requests.call("GET", bucket, query=query).body)
            except RequestRefused as error:
                raise self._requests.bucket_error(bucket, error) from error

        try:
            yield from list_pages(fetch, versions=versions, prefix=prefix)
        except ListingUnreadable as error:
            problem = f"sent a listing that cannot be read: {error}"
            raise ServiceUnavailable(self._requests.sentence(bucket, problem)) from error

    def get(
        self, bucket: str, key: str, version_id: str, etag: str, target: Path
    ) -> tuple[ObjectInfo, str]:
        """See `Store.get`."""
        with target.open("wb") as file:
            return self._read(bucket, key, version_id, etag, _Received(file))

    def read(
        self, bucket: str, key: str, version_id: str, etag: str, size: int
    ) -> tuple[ObjectInfo, str, bytes]:
        """See `Store.read`."""
        content = io.BytesIO()
        info, sha256 = self._read(bucket, key, version_id, etag, _Received(content, size))
        return info, sha256, content.getvalue()

    @contextmanager
    def open(
        self, bucket: str, key: str, version_id: str = ""
    ) -> Iterator[tuple[ObjectInfo, Iterator[bytes]]]:
        """See `Store.open`."""
        with self._requests.stream(bucket, key, version_id) as (headers, pieces):
            length = headers.get("content-length", "")
            yield _info(headers, int(length) if length.isdecimal() else 0), pieces

    def hash(self, bucket: str, key: str, version_id: str, etag: str) -> tuple[ObjectInfo, str]:
        """See `Store.hash`."""
        return self._read(bucket, key, version_id, etag, _Received())

    def _read(
        self, bucket: str, key: str, version_id: str, etag: str, received: "_Received"
    ) -> tuple[ObjectInfo, str]:
        condition = {} if version_id else {"if-match": f'"{etag}"'}
        try:
            response = self._requests.call(
                "GET",
                bucket,
                key,
                query=version_query(version_id),
                headers=condition,
                sink=received.restart,
                retry=DOWNLOAD,
            )
        except RequestRefused as error:
            raise self._requests.read_error(bucket, key, version_id, error) from error
        return _info(response.headers, received.size), received.sha256.hexdigest()

    def head(self, bucket: str, key: str, version_id: str = "") -> ObjectInfo:
        """See `Store.head`."""
        if version_id == NULL_VERSION:  # quirks.HEAD_OF_NULL_VERSION
            return self.hash(bucket, key, version_id, "")[0]
        try:
            response = self._requests.call(
                "HEAD", bucket, key, query=version_query(version_id), retry=DOWNLOAD
            )
        except RequestRefused as error:
            raise self._requests.read_error(bucket, key, version_id, error) from error
        length = response.headers.get("content-length", "")
        if not length.isdecimal():  # quirks.LENGTH_IS_MISSING
            return self.hash(bucket, key, version_id, _unquoted(response.headers.get("etag")))[0]
        return _info(response.headers, int(length))

    def put(
        self,
        bucket: str,
        key: str,
        contents: Contents,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> Stored:
        """See `Store.put`."""
        headers = {
            "x-amz-content-sha256": contents.sha256,
            **_headers(content_type, metadata),
        }
        if contents.md5:
            headers["content-md5"] = b64encode(contents.md5).decode()
        try:
            response = self._requests.call("PUT", bucket, key, headers=headers, body=contents.body)
        except RequestRefused as error:
            raise self._requests.put_error(bucket, key, contents.size, error) from error
        etag = _unquoted(response.headers.get("etag"))
        if not etag:
            problem = f"sent no ETag of {key!r} after the PUT"
            raise UploadDeferred(self._requests.sentence(bucket, problem))
        if contents.md5 and etag != contents.md5.hex():  # quirks.ETAG_IS_NOT_MD5
            etag = self.check_size(bucket, key, contents.size).etag
        version_id = response.headers.get("x-amz-version-id", "")
        return Stored(version_id, etag, was_repeated=response.attempts > 1)

    def check_size(self, bucket: str, key: str, size: int) -> ObjectInfo:
        """Return what is stored under a key.

        Raises:
            UploadDeferred: It does not have this size in bytes.
        """
        stored: int | str = "none"
        with suppress(ObjectMissing):
            found = self.head(bucket, key)
            if found.size == size:
                return found
            stored = found.size
        problem = f"has {stored} of {size} bytes of {key!r} after the PUT"
        raise UploadDeferred(self._requests.sentence(bucket, problem))

    def put_parts(
        self, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> PartsUpload:
        """See `Store.put_parts`."""
        return _PartsUpload(self, self._requests, bucket, key, _headers(content_type, metadata))

    def abort_parts(self, bucket: str, key: str, upload_id: str) -> None:
        """See `Store.abort_parts`."""
        try:
            self._requests.call("DELETE", bucket, key, query={"uploadId": upload_id})
        except RequestRefused as error:
            if error.code not in UNKNOWN_UPLOAD:
                raise self._requests.put_error(bucket, key, 0, error) from error

    def copy(
        self, source: Source, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """See `Store.copy`."""
        # quirks.COPY_IGNORES_CONDITION
        found = self.head(source.bucket, source.key, source.version_id)
        if found.etag != source.etag:
            raise ObjectMissing(source.key)
        if found.is_manifest:  # quirks.MANIFEST_IS_COPIED
            raise UploadDeferred(
                f"{source.key!r} was uploaded over Swift in segments, which the store cannot copy."
            )
        headers = _headers(content_type, metadata)
        etag = Copy(self._requests, source, found.size, bucket, key, headers).make()
        if not source.version_id and etag != source.etag:
            now = self.head(source.bucket, source.key)
            if not now.is_same_put(found):
                raise ObjectMissing(source.key)

    def delete_versions(
        self, bucket: str, versions: Sequence[Version]
    ) -> dict[Version, UploadDeferred]:
        """See `Store.delete_versions`."""
        return s3_deletion.delete_versions(self._requests, bucket, versions)

    def delete_if_unchanged(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        """See `Store.delete_if_unchanged`."""
        s3_deletion.delete_if_unchanged(self._requests, bucket, key, version_id, etag)


class _Received:
    """A body that is being received: hashed, and its first bytes written if there is a file."""

    def __init__(self, file: BinaryIO | None = None, most: int = sys.maxsize) -> None:
        self._file, self._most = file, most
        self.sha256, self.size = SHA256.copy(), 0

    def restart(self) -> Callable[[memoryview], None]:
        """Forget what an earlier attempt received."""
        if self.size:
            self.sha256, self.size = SHA256.copy(), 0
            if self._file:
                self._file.seek(0)
                self._file.truncate()
        return self._receive

    def _receive(self, piece: memoryview) -> None:
        self.sha256.update(piece)
        if self._file:
            self._file.write(piece[: max(0, self._most - self.size)])
        self.size += len(piece)


class _PartsUpload:
    """Implements `PartsUpload`."""

    def __init__(
        self, store: S3Store, requests: S3Requests, bucket: str, key: str, headers: dict[str, str]
    ) -> None:
        self._store, self._requests, self._bucket, self._key = store, requests, bucket, key
        self._size = 0
        with self._translated():
            self._parts = S3Multipart(requests, bucket, key, headers)
        self.id = self._parts.id

    def add(self, content: bytes) -> None:
        """See `PartsUpload.add`."""
        self._size += len(content)
        with self._translated():
            self._parts.add(content)

    def complete(self) -> Stored:
        """See `PartsUpload.complete`."""
        with self._translated():
            response = self._parts.complete()
        etag = "" if response is None else _unquoted(response.xml().findtext("ETag"))
        version_id = "" if response is None else response.headers.get("x-amz-version-id", "")
        if etag != self._parts.expected_etag:  # quirks.ETAG_IS_NOT_MD5
            etag = self._store.check_size(self._bucket, self._key, self._size).etag
        # quirks.VERSION_OF_PARTS_IS_NULL
        return Stored("" if version_id == NULL_VERSION else version_id, etag)

    def abort(self) -> None:
        """See `PartsUpload.abort`."""
        with self._translated():
            self._parts.abort()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except RequestRefused as error:
            raise self._requests.put_error(self._bucket, self._key, self._size, error) from error


def _headers(content_type: str, metadata: Mapping[str, str]) -> dict[str, str]:
    named = {f"{_METADATA}{name}": value for name, value in metadata.items()}
    return {"content-type": content_type, **named}


def _unquoted(etag: str | None) -> str:
    return (etag or "").strip('"')  # quirks.ETAG_WITHOUT_QUOTES


@lru_cache(maxsize=1024)  # HEAD repeats what GET said
def _time(text: str | None) -> datetime | None:
    try:
        return whole_seconds(parsedate_to_datetime(text or ""))
    except (ValueError, OverflowError):  # quirks.TIME_IS_MISSING
        return None


def _info(headers: Mapping[str, str], size: int) -> ObjectInfo:
    metadata = {
        name.removeprefix(_METADATA): value
        for name, value in headers.items()
        if name.startswith(_METADATA)
    }
    return ObjectInfo(
        _unquoted(headers.get("etag")),
        _time(headers.get("last-modified")),
        size,
        metadata,
        headers.get("content-type", ""),
        is_manifest=not headers.keys().isdisjoint(_MANIFESTS),
    )
