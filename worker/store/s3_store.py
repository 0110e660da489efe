"""Bucket operations over S3: requests, and what their errors mean for a job.

It works on stores without versions and without conditional requests; quirks.py lists the
differences. It decides nothing about deletion: `worker.jobs.deletion` does.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from worker.errors import (
    DeletionRefused,
    NoResponse,
    ObjectMissing,
    PipelineError,
    RequestRefused,
    ResponseTimeout,
    ServiceUnavailable,
    UploadDeferred,
)
from worker.settings import Settings, StoreSettings
from worker.store import quirks
from worker.store.client import Client, Response, Signer, Sink
from worker.store.retries import DOWNLOAD, ONCE, PROBE, STANDARD, RetryPolicy
from worker.store.s3_listing import ListingUnreadable, legible, list_pages
from worker.store.store import FileContents, ObjectInfo, Source, Stored, Version
from worker.uploads.listing import ListPage
from worker.uploads.upload import MAX_PUT_BYTES, NULL_VERSION, whole_seconds

_METADATA = "x-amz-meta-"
#: Headers of Swift's large objects, dynamic and static, as Ceph RGW sends them over S3.
_MANIFESTS = ("x-object-manifest", "x-object-meta-static-large-object")
_MISSING = {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}
_DENIED = {"403", "AccessDenied"}
_FULL = "QuotaExceeded"
# A bucket that has no room for so little is full; one without room for more may take others.
_SMALL_BYTES = 1 << 20
#: No object has this key: requests for it show what the access key may do.
_NOBODY = ".image-pipeline/nobody"
_DELETE_ENTRIES = 1000  # of one DeleteObjects request (S3 API reference)
_MAX_PARTS = 10_000
_PART_BYTES = 128 << 20  # a store copies that much before it has to respond
# Codes that a request for one object may get, but that concern all objects.
_BUCKET_PROBLEMS = {
    **dict.fromkeys(
        quirks.REGION_IS_SIGNED.codes,
        "is in another region: set objectStoreEndpoint and objectStoreRegion to its own",
    ),
    "NoSuchBucket": "does not exist: correct its name in the settings, or create it",
    "MalformedXML": "responded with something else than S3's XML: check that the endpoint is right",
    "InvalidAccessKeyId": "rejected the access key: renew the credential s3-access-key",
    "SignatureDoesNotMatch": "rejected the signature: renew the credential s3-secret-key",
    "RequestTimeTooSkewed": "rejected the time of this machine's clock: set the clock",
}


def open_store(settings: Settings) -> "S3Store":
    """Return the stack's object store; the two credentials `s3-…` are read."""
    access, secret = settings.credential("s3-access-key"), settings.credential("s3-secret-key")
    return S3Store(settings.store, access, secret)


class S3Store:
    """Implements `Store` for one S3 endpoint."""

    def __init__(self, settings: StoreSettings, access: str, secret: str) -> None:
        self.endpoint = settings.endpoint
        signer = Signer(settings.region or "us-east-1", access, secret)
        self._client = Client(settings.endpoint, signer)

    def is_versioned(self, bucket: str) -> bool:
        """See `Store.is_versioned`."""
        try:
            response = self._call("GET", bucket, query={"versioning": ""}).xml()
        except RequestRefused as error:
            if quirks.NO_VERSIONING.explains(error):
                return False
            raise self._bucket_error(bucket, error) from error
        return response.findtext("Status") in ("Enabled", "Suspended")

    def check_bucket(self, bucket: str) -> None:
        """See `Store.check_bucket`."""
        self._check(bucket, STANDARD)

    def list_pages(self, bucket: str, *, versions: bool, prefix: str = "") -> Iterator[ListPage]:
        """See `Store.list_pages`."""

        def fetch(query: dict[str, str]) -> ET.Element:
            try:
                response = self._call("GET", bucket, query=query)
                return replace(response, body=legible(response.body)).xml()
            except RequestRefused as error:
                raise self._bucket_error(bucket, error) from error

        try:
            yield from list_pages(fetch, versions=versions, prefix=prefix)
        except ListingUnreadable as error:
            problem = f"sent a listing that cannot be read: {error}"
            raise ServiceUnavailable(self._sentence(bucket, problem)) from error

    def get(
        self, bucket: str, key: str, version_id: str, etag: str, target: Path
    ) -> tuple[ObjectInfo, str]:
        """See `Store.get`."""
        with target.open("wb") as file:

            def restart() -> Callable[[bytes], object]:
                file.seek(0)
                file.truncate()
                return file.write

            return self._read(bucket, key, version_id, etag, restart)

    def hash(self, bucket: str, key: str, version_id: str, etag: str) -> tuple[ObjectInfo, str]:
        """See `Store.hash`."""
        return self._read(bucket, key, version_id, etag, lambda: lambda _: None)

    def _read(
        self, bucket: str, key: str, version_id: str, etag: str, restart: Sink
    ) -> tuple[ObjectInfo, str]:
        condition = {} if version_id else {"if-match": f'"{etag}"'}
        sha256, size = hashlib.sha256(), 0

        def sink() -> Callable[[bytes], object]:
            nonlocal sha256, size
            sha256, size, keep = hashlib.sha256(), 0, restart()

            def take(piece: bytes) -> None:
                nonlocal size
                keep(piece)
                sha256.update(piece)
                size += len(piece)

            return take

        try:
            response = self._call(
                "GET",
                bucket,
                key,
                query=_version(version_id),
                headers=condition,
                sink=sink,
                retry=DOWNLOAD,
            )
        except RequestRefused as error:
            raise self._read_error(bucket, key, version_id, error) from error
        return _info(response.headers, size), sha256.hexdigest()

    def head(self, bucket: str, key: str, version_id: str = "") -> ObjectInfo:
        """See `Store.head`."""
        if version_id == NULL_VERSION:  # quirks.HEAD_OF_NULL_VERSION
            return self.hash(bucket, key, version_id, "")[0]
        try:
            response = self._call("HEAD", bucket, key, query=_version(version_id), retry=DOWNLOAD)
        except RequestRefused as error:
            raise self._read_error(bucket, key, version_id, error) from error
        length = response.headers.get("content-length", "")
        if not length.isdecimal():  # quirks.LENGTH_IS_MISSING
            return self.hash(bucket, key, version_id, _unquoted(response.headers.get("etag")))[0]
        return _info(response.headers, int(length))

    def put(
        self,
        bucket: str,
        key: str,
        contents: FileContents,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> Stored:
        """See `Store.put`."""
        headers = {
            "x-amz-content-sha256": contents.sha256,
            "content-md5": b64encode(contents.md5).decode(),
            "content-type": content_type,
            **{f"{_METADATA}{name}": value for name, value in metadata.items()},
        }
        try:
            response = self._call("PUT", bucket, key, headers=headers, body=contents.path)
        except RequestRefused as error:
            raise self._put_error(bucket, key, contents.size, error) from error
        etag = _unquoted(response.headers.get("etag"))
        if etag != contents.md5.hex():  # quirks.ETAG_IS_NOT_MD5
            try:
                stored = self.head(bucket, key).size
            except ObjectMissing:
                stored = -1
            if stored != contents.size:
                problem = f"has {stored} of {contents.size} bytes of {key!r} after the PUT"
                raise UploadDeferred(self._sentence(bucket, problem))
        return Stored(response.headers.get("x-amz-version-id", ""), etag)

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
        version = f"?versionId={quote(source.version_id)}" if source.version_id else ""
        origin = {
            "x-amz-copy-source": quote(f"/{source.bucket}/{source.key}") + version,
            "x-amz-copy-source-if-match": f'"{source.etag}"',
        }
        headers = {
            "content-type": content_type,
            **{f"{_METADATA}{name}": value for name, value in metadata.items()},
        }
        replaced = {"x-amz-metadata-directive": "REPLACE"}
        try:
            try:
                _checked(self._call("PUT", bucket, key, headers=origin | headers | replaced))
            except (RequestRefused, UploadDeferred):
                if found.size <= MAX_PUT_BYTES:
                    raise
                # quirks.COPY_IS_LIMITED
                self._copy_parts(origin, found.size, bucket, key, headers)
        except RequestRefused as error:
            raise self._put_error(bucket, key, found.size, error) from error

    def _copy_parts(
        self, origin: dict[str, str], size: int, bucket: str, key: str, headers: dict[str, str]
    ) -> None:
        """Copy as a multipart upload (S3 API reference, UploadPartCopy)."""
        created = self._call("POST", bucket, key, query={"uploads": ""}, headers=headers).xml()
        upload = {"uploadId": _text(created, "UploadId")}
        length = max(_PART_BYTES, -(-size // _MAX_PARTS))
        parts = ""
        try:
            for number, start in enumerate(range(0, size, length), 1):
                end = min(start + length, size) - 1
                part = self._call(
                    "PUT",
                    bucket,
                    key,
                    query=upload | {"partNumber": str(number)},
                    headers=origin | {"x-amz-copy-source-range": f"bytes={start}-{end}"},
                )
                etag = escape(_text(_checked(part), "ETag"))
                parts += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
            _checked(self._call("POST", bucket, key, query=upload, body=body))
        except (PipelineError, OSError):
            with suppress(PipelineError):
                self._call("DELETE", bucket, key, query=upload)
            raise

    def delete_versions(
        self, bucket: str, versions: Sequence[Version]
    ) -> dict[Version, UploadDeferred]:
        """See `Store.delete_versions`."""
        failures: dict[Version, UploadDeferred] = {}
        for start in range(0, len(versions), _DELETE_ENTRIES):
            failures |= self._delete_some(bucket, versions[start : start + _DELETE_ENTRIES])
        return failures

    def _delete_some(
        self, bucket: str, versions: Sequence[Version]
    ) -> dict[Version, UploadDeferred]:
        # quirks.KEYS_BEYOND_XML
        together = [version for version in versions if version[0].isprintable()]
        try:
            refused = self._delete_together(bucket, together) if len(together) > 1 else None
        except ResponseTimeout as silence:
            return dict.fromkeys(versions, self._silent(bucket, "a DELETE", silence))
        except RequestRefused as refusal:
            if refusal.is_overload:
                return dict.fromkeys(versions, self._deferred(bucket, "a DELETE", refusal))
            refused = None  # quirks.NO_MULTI_DELETE, or one of the versions is the cause
        except NoResponse:
            refused = None
        done = set() if refused is None else set(together)
        refused, failures = refused or {}, dict[Version, UploadDeferred]()
        for key, version_id in versions:
            if (key, version_id) not in done:
                try:
                    self._call("DELETE", bucket, key, query=_version(version_id))
                except RequestRefused as error:
                    refused[key, version_id] = error
                except UploadDeferred as error:
                    failures[key, version_id] = error
        may_delete = len(refused) + len(failures) < len(versions)
        return failures | self._refused(bucket, refused, may_delete=may_delete)

    def _refused(
        self, bucket: str, refused: Mapping[Version, RequestRefused], *, may_delete: bool
    ) -> dict[Version, UploadDeferred]:
        failures = {}
        for version, error in refused.items():
            problem = self._delete_error(bucket, version, error, may_delete=may_delete)
            if isinstance(problem, UploadDeferred):
                failures[version] = problem
                may_delete |= isinstance(problem, DeletionRefused)
            elif not isinstance(problem, ObjectMissing):
                raise problem from error
        return failures

    def _delete_together(
        self, bucket: str, versions: list[Version]
    ) -> dict[Version, RequestRefused]:
        """Delete versions in one request (S3 API reference, DeleteObjects)."""
        objects = "".join(
            f"<Object><Key>{escape(key)}</Key><VersionId>{escape(version_id)}</VersionId></Object>"
            for key, version_id in versions
        )
        body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": md5, "content-type": "application/xml"}
        query = {"delete": ""}
        response = self._client.call("POST", bucket, query=query, headers=headers, body=body)
        return {
            (_text(element, "Key"), _text(element, "VersionId")): RequestRefused(
                _text(element, "Code")
            )
            for element in _checked(response).iterfind("Error")
        }

    def delete_if_unchanged(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        """See `Store.delete_if_unchanged`."""

        # Sent once: a repetition could delete an upload that came after the first had worked.
        def delete(headers: dict[str, str]) -> None:
            self._call(
                "DELETE", bucket, key, query=_version(version_id), headers=headers, retry=ONCE
            )

        try:
            try:
                delete({"if-match": f'"{etag}"'})
            except RequestRefused as error:
                if not quirks.NO_CONDITIONAL_DELETE.explains(error):
                    raise
                delete({})
        except RequestRefused as error:
            raise self._delete_error(bucket, (key, version_id), error) from error

    def _call(self, method: str, bucket: str, key: str = "", **arguments: Any) -> Response:
        try:
            return self._client.call(method, bucket, key, **arguments)
        except ValueError as error:
            problem = f"cannot be asked for {key!r}: {error}"
            raise UploadDeferred(self._sentence(bucket, problem)) from error
        except NoResponse as error:
            if key:
                raise self._silent(bucket, repr(key), error) from error
            problem = f"did not respond ({error}): check that the endpoint is right and running"
            raise ServiceUnavailable(self._sentence(bucket, problem)) from error

    def _check(self, bucket: str, retry: RetryPolicy) -> None:
        try:
            self._call("HEAD", bucket, retry=retry)
        except RequestRefused as error:
            if error.code in _MISSING:
                error = RequestRefused("NoSuchBucket")
            raise self._bucket_error(bucket, error) from error

    def _silent(self, bucket: str, subject: str, error: NoResponse) -> UploadDeferred:
        self._check(bucket, PROBE)  # else one object is not the cause
        return UploadDeferred(
            self._sentence(bucket, f"sent no whole response for {subject} ({error})")
        )

    def _deferred(self, bucket: str, subject: str, error: RequestRefused) -> UploadDeferred:
        if error.is_overload:
            self._check(bucket, PROBE)  # else one object is not the cause
            return UploadDeferred(
                self._sentence(bucket, f"is overloaded ({error.code}) for {subject}")
            )
        return UploadDeferred(self._sentence(bucket, f"responded {error.code} for {subject}"))

    def _object_error(self, bucket: str, key: str, error: RequestRefused) -> Exception:
        if error.code in _BUCKET_PROBLEMS:
            return self._bucket_error(bucket, error)
        if error.code in _MISSING or error.code in _CHANGED:
            return ObjectMissing(key)
        return self._deferred(bucket, repr(key), error)

    def _read_error(
        self, bucket: str, key: str, version_id: str, error: RequestRefused
    ) -> Exception:
        if version_id and quirks.DELETE_MARKER_NOT_ALLOWED.explains(error):
            return ObjectMissing(key)
        return self._object_error(bucket, key, error)

    def _put_error(self, bucket: str, key: str, size: int, error: RequestRefused) -> Exception:
        if error.code in _DENIED and not self._may_write(bucket):
            return self._bucket_error(bucket, error)
        if error.code == _FULL:
            problem = (
                f"has no room for {size} bytes ({_FULL}): free space or ask for a larger quota"
            )
            kind = ServiceUnavailable if size < _SMALL_BYTES else UploadDeferred
            return kind(self._sentence(bucket, problem))
        return self._object_error(bucket, key, error)

    def _delete_error(
        self, bucket: str, version: Version, error: RequestRefused, *, may_delete: bool = False
    ) -> Exception:
        key, version_id = version
        if error.code in _DENIED and not (may_delete or self._may_delete(bucket, version_id)):
            problem = "refused a DELETE: grant the right to delete to the access key"
            return ServiceUnavailable(self._sentence(bucket, problem))
        failure = self._object_error(bucket, key, error)
        if error.is_temporary or not isinstance(failure, UploadDeferred):
            return failure
        return DeletionRefused(
            self._sentence(bucket, f"refused to delete {key!r} ({error.code}): it may be locked")
        )

    def _may_write(self, bucket: str) -> bool:
        """Return whether objects of other keys may be stored; none is."""
        try:
            created = self._call("POST", bucket, _NOBODY, query={"uploads": ""}).xml()
            self._call("DELETE", bucket, _NOBODY, query={"uploadId": _text(created, "UploadId")})
        except (RequestRefused, UploadDeferred):
            return False
        return True

    def _may_delete(self, bucket: str, version_id: str) -> bool:
        """Return whether other objects may be deleted; none is."""
        query = _version(version_id and NULL_VERSION)
        try:
            self._call("DELETE", bucket, _NOBODY, query=query, headers={"if-match": '"nobody"'})
        except RequestRefused as error:
            return error.code not in _DENIED
        except UploadDeferred:
            return False
        return True

    def _bucket_error(self, bucket: str, error: RequestRefused) -> ServiceUnavailable:
        if error.is_overload:
            problem = f"is overloaded ({error.code}): the worker tries again by itself"
        elif error.is_temporary:
            problem = f"failed ({error.code}): if that lasts, tell who runs the store"
        else:
            problem = f"refused the request ({error.code}): check the access key and its rights"
        problem = _BUCKET_PROBLEMS.get(error.code, problem)
        return ServiceUnavailable(self._sentence(bucket, problem))

    def _sentence(self, bucket: str, problem: str) -> str:
        return f"The bucket {bucket!r} at {self.endpoint} {problem}."


def _checked(response: Response) -> ET.Element:
    """Return the XML of a response that may have the status 200 and yet be an error.

    S3 API reference: CopyObject, UploadPartCopy, CompleteMultipartUpload.

    Raises:
        RequestRefused: It is an error.
    """
    answer = response.xml()
    if answer.tag == "Error":
        raise RequestRefused(answer.findtext("Code") or "InternalError")
    return answer


def _version(version_id: str) -> dict[str, str]:
    return {"versionId": version_id} if version_id else {}


def _unquoted(etag: str | None) -> str:
    return (etag or "").strip('"')  # quirks.ETAG_WITHOUT_QUOTES


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
        is_manifest=any(name in headers for name in _MANIFESTS),
    )


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(name) or ""
