"""Bucket operations over S3: requests, and what their errors mean for a job.

It works on stores without versions and without conditional requests; quirks.py lists the
differences. It decides nothing about deletion: `worker.jobs.deletion` does.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from worker.errors import (
    NoResponse,
    ObjectMissing,
    RequestRefused,
    ResponseTruncated,
    ServiceUnavailable,
    UploadDeferred,
)
from worker.settings import Settings, StoreSettings
from worker.store import quirks
from worker.store.client import Client, Response, Signer
from worker.store.retries import ONCE
from worker.store.store import FileContents, ObjectInfo, Source, Stored, Version
from worker.uploads.listing import ListedVersion, ListPage
from worker.uploads.upload import NULL_VERSION, whole_seconds

_METADATA = "x-amz-meta-"
_MISSING = {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}
_DENIED = {"403", "AccessDenied"}
# Codes that a request for one object may get, but that concern all objects.
_BUCKET_PROBLEMS = {
    **dict.fromkeys(
        quirks.REGION_IS_SIGNED.codes,
        "is in another region: set objectStoreEndpoint and objectStoreRegion to its own",
    ),
    "NoSuchBucket": "does not exist: correct its name in the settings, or create it",
    "InvalidAccessKeyId": "rejected the access key: renew the credential s3-access-key",
    "SignatureDoesNotMatch": "rejected the signature: renew the credential s3-secret-key",
    "QuotaExceeded": "is full (QuotaExceeded): free space or ask for a larger quota",
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
        try:
            self._call("HEAD", bucket)
        except RequestRefused as error:
            if error.code in _MISSING:
                error = RequestRefused("NoSuchBucket")
            raise self._bucket_error(bucket, error) from error

    def list_pages(self, bucket: str, *, versions: bool, prefix: str = "") -> Iterator[ListPage]:
        """See `Store.list_pages`."""
        # quirks.KEYS_BEYOND_XML
        query = {"encoding-type": "url"} | ({"versions": ""} if versions else {"list-type": "2"})
        query |= {"prefix": prefix} if prefix else {}
        tags = ("Version", "DeleteMarker") if versions else ("Contents",)
        while True:
            try:
                page = self._call("GET", bucket, query=query).xml()
            except RequestRefused as error:
                raise self._bucket_error(bucket, error) from error
            encoded = page.findtext("EncodingType") == "url"
            listed = [_listed(element, encoded) for tag in tags for element in page.iterfind(tag)]
            if page.findtext("IsTruncated") != "true":
                yield ListPage(listed)
                return
            if versions:
                key = _text(page, "NextKeyMarker", encoded)
                version = page.findtext("NextVersionIdMarker")
                query |= {"key-marker": key} | ({"version-id-marker": version} if version else {})
                yield ListPage(listed, key)
            else:
                query |= {"continuation-token": _text(page, "NextContinuationToken")}
                yield ListPage(listed)

    def get(
        self, bucket: str, key: str, version_id: str, etag: str, target: Path
    ) -> tuple[ObjectInfo, str]:
        """See `Store.get`."""
        condition = {} if version_id else {"if-match": f'"{etag}"'}
        sha256 = hashlib.sha256()
        with target.open("wb") as file:

            def sink() -> Callable[[bytes], object]:
                nonlocal sha256
                sha256 = hashlib.sha256()
                file.seek(0)
                file.truncate()

                def take(piece: bytes) -> None:
                    file.write(piece)
                    sha256.update(piece)

                return take

            try:
                response = self._call(
                    "GET", bucket, key, query=_version(version_id), headers=condition, sink=sink
                )
            except RequestRefused as error:
                raise self._object_error(bucket, key, error) from error
            size = file.tell()
        return _info(response.headers, size), sha256.hexdigest()

    def head(self, bucket: str, key: str, version_id: str = "") -> ObjectInfo:
        """See `Store.head`."""
        method = "GET" if version_id == NULL_VERSION else "HEAD"  # quirks.HEAD_OF_NULL_VERSION
        try:
            response = self._call(
                method, bucket, key, query=_version(version_id), sink=lambda: lambda _: None
            )
        except RequestRefused as error:
            if version_id and quirks.DELETE_MARKER_NOT_ALLOWED.explains(error):
                raise ObjectMissing(key) from error
            raise self._object_error(bucket, key, error) from error
        return _info(response.headers, int(response.headers["content-length"]))

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
            if error.code in _DENIED:
                raise self._bucket_error(bucket, error) from error
            raise self._object_error(bucket, key, error) from error
        etag = _unquoted(response.headers["etag"])
        if etag != contents.md5.hex():  # quirks.ETAG_IS_NOT_MD5
            try:
                stored = self.head(bucket, key).size
            except ObjectMissing:
                stored = -1
            if stored != contents.size:
                problem = f"has {stored} of {contents.size} bytes of {key!r} after the PUT"
                raise UploadDeferred(self._sentence(bucket, problem))
        return Stored(response.headers["x-amz-version-id"] or "", etag)

    def copy(
        self, source: Source, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """See `Store.copy`."""
        # quirks.COPY_IGNORES_CONDITION
        found = self.head(source.bucket, source.key, source.version_id)
        if found.etag != source.etag:
            raise ObjectMissing(source.key)
        version = f"?versionId={quote(source.version_id)}" if source.version_id else ""
        headers = {
            "x-amz-copy-source": quote(f"/{source.bucket}/{source.key}") + version,
            "x-amz-copy-source-if-match": f'"{source.etag}"',
            "x-amz-metadata-directive": "REPLACE",
            "content-type": content_type,
            **{f"{_METADATA}{name}": value for name, value in metadata.items()},
        }
        try:
            _check_copy(self._call("PUT", bucket, key, headers=headers))
        except RequestRefused as error:
            if error.code in _DENIED:
                raise self._bucket_error(bucket, error) from error
            raise self._object_error(bucket, key, error) from error

    def delete_versions(
        self, bucket: str, versions: Sequence[Version]
    ) -> dict[Version, UploadDeferred]:
        """See `Store.delete_versions`."""
        together = [version for version in versions if version[0].isprintable()]
        failures = {}
        try:
            if len(together) > 1:
                failures = self._delete_together(bucket, together)
            else:
                together = []
        except RequestRefused as error:
            if not quirks.NO_MULTI_DELETE.explains(error):
                raise self._delete_error(bucket, together[0][0], error) from error
            together = []
        for key, version_id in set(versions).difference(together):
            try:
                self._call("DELETE", bucket, key, query=_version(version_id))
            except RequestRefused as error:
                failures |= self._delete_failure(bucket, (key, version_id), error)
        return failures

    def _delete_together(
        self, bucket: str, versions: list[Version]
    ) -> dict[Version, UploadDeferred]:
        """Delete versions in one request (S3 API reference, DeleteObjects)."""
        objects = "".join(
            f"<Object><Key>{escape(key)}</Key><VersionId>{escape(version_id)}</VersionId></Object>"
            for key, version_id in versions
        )
        body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": md5, "content-type": "application/xml"}
        response = self._call("POST", bucket, query={"delete": ""}, headers=headers, body=body)
        failures: dict[Version, UploadDeferred] = {}
        for element in response.xml().iterfind("Error"):
            version = _text(element, "Key"), _text(element, "VersionId")
            error = RequestRefused(_text(element, "Code"))
            failures |= self._delete_failure(bucket, version, error)
        return failures

    def _delete_failure(
        self, bucket: str, version: Version, error: RequestRefused
    ) -> dict[Version, UploadDeferred]:
        problem = self._delete_error(bucket, version[0], error)
        if isinstance(problem, ObjectMissing):
            return {}
        if isinstance(problem, UploadDeferred):
            return {version: problem}
        raise problem from error

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
            raise self._delete_error(bucket, key, error) from error

    def _call(self, method: str, bucket: str, key: str = "", **arguments: Any) -> Response:
        try:
            return self._client.call(method, bucket, key, **arguments)
        except NoResponse as error:
            if key and isinstance(error, ResponseTruncated):
                problem = f"truncated its response for {key!r}"
                raise UploadDeferred(self._sentence(bucket, problem)) from error
            problem = f"did not respond ({error}): check that the endpoint is right and running"
            raise ServiceUnavailable(self._sentence(bucket, problem)) from error

    def _object_error(self, bucket: str, key: str, error: RequestRefused) -> Exception:
        if error.code in _BUCKET_PROBLEMS:
            return self._bucket_error(bucket, error)
        if error.code in _MISSING or error.code in _CHANGED:
            return ObjectMissing(key)
        return UploadDeferred(self._sentence(bucket, f"responded {error.code} for {key!r}"))

    def _delete_error(self, bucket: str, key: str, error: RequestRefused) -> Exception:
        if error.code in _DENIED:
            problem = "refused a DELETE: grant the right to delete to the access key"
            return ServiceUnavailable(self._sentence(bucket, problem))
        return self._object_error(bucket, key, error)

    def _bucket_error(self, bucket: str, error: RequestRefused) -> ServiceUnavailable:
        problem = f"refused the request ({error.code}): check the access key and its rights"
        problem = _BUCKET_PROBLEMS.get(error.code, problem)
        return ServiceUnavailable(self._sentence(bucket, problem))

    def _sentence(self, bucket: str, problem: str) -> str:
        return f"The bucket {bucket!r} at {self.endpoint} {problem}."


def _check_copy(response: Response) -> None:
    """Raise the error that may come after the status 200 (S3 API reference, CopyObject)."""
    answer = response.xml()
    if answer.tag == "Error":
        raise RequestRefused(answer.findtext("Code") or "InternalError")


def _version(version_id: str) -> dict[str, str]:
    return {"versionId": version_id} if version_id else {}


def _unquoted(etag: str | None) -> str:
    return (etag or "").strip('"')  # quirks.ETAG_WITHOUT_QUOTES


def _info(headers: Message, size: int) -> ObjectInfo:
    moment = whole_seconds(parsedate_to_datetime(headers["last-modified"]))
    # quirks.METADATA_NAMES_ARE_CAPITALISED
    metadata = {
        name.lower().removeprefix(_METADATA): headers[name]
        for name in headers.keys()  # noqa: SIM118  a message yields no names by itself
        if name.lower().startswith(_METADATA)
    }
    return ObjectInfo(
        _unquoted(headers["etag"]), moment, size, metadata, headers["content-type"] or ""
    )


def _text(element: ET.Element, name: str, encoded: bool = False) -> str:
    """Return a child's text; `encoded` says that it is URL-encoded (`encoding-type=url`)."""
    text = element.findtext(name) or ""
    return unquote_plus(text) if encoded else text


def _listed(element: ET.Element, encoded: bool) -> ListedVersion:
    return ListedVersion(
        key=_text(element, "Key", encoded),
        last_modified=datetime.fromisoformat(_text(element, "LastModified")),
        version_id=_text(element, "VersionId"),
        etag=_unquoted(element.findtext("ETag")),
        size=int(_text(element, "Size") or 0),
        is_latest=element.findtext("IsLatest") != "false",
        is_marker=element.tag == "DeleteMarker",
    )
