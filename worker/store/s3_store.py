"""The object store: what the worker asks of its buckets. No rule about deleting is here.

Works on stores without versions and without conditional requests (rclone), and on Ceph RGW.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
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
from worker.store.answers import Found, entry_of, etag_of, found, text_of
from worker.store.client import Client, Response, Signer
from worker.store.contents import Contents
from worker.uploads.listing import Page

_MISSING = {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}
_UNSUPPORTED = {"501", "NotImplemented", "405", "MethodNotAllowed"}
_ELSEWHERE = "is in another region: set objectStoreEndpoint and objectStoreRegion to its own"
_EVERYWHERE = {  # said of one object, but true of all
    **dict.fromkeys(("PermanentRedirect", "TemporaryRedirect", "301", "307"), _ELSEWHERE),
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "NoSuchBucket": "does not exist: name the right one in the settings, or make it",
    "InvalidAccessKeyId": "does not know our access key: renew the credential s3-access-key",
    "SignatureDoesNotMatch": "refuses our signature: renew the credential s3-secret-key",
    "QuotaExceeded": "is full (QuotaExceeded): make room or ask for a larger quota",
    "RequestTimeTooSkewed": "says that this machine's clock is wrong: set it",
}
Version = tuple[str, str]  # of an object: its key and version id


class Store:
    """One S3 endpoint. Raises ServiceUnavailable, UploadDeferred or ObjectMissing."""

    def __init__(self, settings: StoreSettings, access: str, secret: str) -> None:
        self.endpoint = settings.endpoint
        # The region is signed, and ignored by Ceph.
        signer = Signer(settings.region or "us-east-1", access, secret)
        self._client = Client(settings.endpoint, signer)

    def versioned(self, bucket: str) -> bool:
        """Whether the bucket has, or once had, versions."""
        try:
            answer = self._call("GET", bucket, query={"versioning": ""}).xml()
        except RequestRefused as error:
            if error.code in _UNSUPPORTED:
                return False
            raise ServiceUnavailable(self._refused(bucket, error)) from error
        return answer.findtext("Status") in ("Enabled", "Suspended")

    def reach(self, bucket: str) -> None:
        """Raise ServiceUnavailable unless the bucket is there for us."""
        try:
            self._call("HEAD", bucket)
        except RequestRefused as error:
            if error.code in _MISSING:
                raise ServiceUnavailable(
                    self._sentence(bucket, _EVERYWHERE["NoSuchBucket"])
                ) from error
            raise ServiceUnavailable(self._refused(bucket, error)) from error

    def pages(self, bucket: str, versioned: bool) -> Iterator[Page]:
        """List the bucket, a page of at most 1,000 lines at a time."""
        # Keys may hold what XML cannot.
        query = {"encoding-type": "url"} | ({"versions": ""} if versioned else {"list-type": "2"})
        while True:
            try:
                page = self._call("GET", bucket, query=query).xml()
            except RequestRefused as error:
                raise ServiceUnavailable(self._refused(bucket, error)) from error
            encoded = page.findtext("EncodingType") == "url"
            kinds = ("Version", "DeleteMarker") if versioned else ("Contents",)
            entries = [entry_of(line, encoded) for kind in kinds for line in page.iterfind(kind)]
            if page.findtext("IsTruncated") != "true":
                yield Page(entries)
                return
            if versioned:
                key = text_of(page, "NextKeyMarker", encoded)
                version = page.findtext("NextVersionIdMarker")
                query |= {"key-marker": key} | ({"version-id-marker": version} if version else {})
                yield Page(entries, key)
            else:
                query |= {"continuation-token": text_of(page, "NextContinuationToken")}
                yield Page(entries)

    def get(
        self, bucket: str, key: str, version_id: str, etag: str, target: Path
    ) -> tuple[Found, str]:
        """Read an object, or one version of it, into a file; also its sha256.

        ObjectMissing: it is not there, or no longer with this ETag where the store looks at that.
        """
        pin = {} if version_id else {"if-match": f'"{etag}"'}
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
                answer = self._call(
                    "GET", bucket, key, query=_version(version_id), headers=pin, sink=sink
                )
            except RequestRefused as error:
                raise self._of_object(bucket, key, error) from error
            size = file.tell()
        return found(answer.headers, size), sha256.hexdigest()

    def head(self, bucket: str, key: str, version_id: str = "") -> Found:
        """What the object, or the version, is now. ObjectMissing: it is not there."""
        # Not HEAD for a version: some stores refuse it for the one called "null".
        method = "GET" if version_id else "HEAD"
        try:
            answer = self._call(
                method, bucket, key, query=_version(version_id), sink=lambda: lambda _: None
            )
        except RequestRefused as error:
            if version_id and error.code in _UNSUPPORTED:  # a delete marker by now
                raise ObjectMissing(key) from error
            raise self._of_object(bucket, key, error) from error
        return found(answer.headers, int(answer.headers["content-length"]))

    def put(
        self,
        bucket: str,
        key: str,
        contents: Contents,
        content_type: str,
        metadata: dict[str, str],
    ) -> None:
        """Write a file as an object; the store has checked its md5 and length, or we have."""
        headers = {
            "x-amz-content-sha256": contents.sha256,
            "content-md5": b64encode(contents.md5).decode(),
            "content-type": content_type,
            **{f"x-amz-meta-{name}": value for name, value in metadata.items()},
        }
        try:
            answer = self._call("PUT", bucket, key, headers=headers, body=contents.path)
        except RequestRefused as error:
            if error.code in ("AccessDenied", "403"):
                raise ServiceUnavailable(self._refused(bucket, error)) from error
            raise self._of_object(bucket, key, error) from error
        if etag_of(answer.headers["etag"]) != contents.md5.hex():  # encrypted stores differ
            try:
                stored = self.head(bucket, key).size
            except ObjectMissing:
                stored = -1
            if stored != contents.size:
                raise UploadDeferred(
                    self._sentence(
                        bucket, f"holds {stored} of {contents.size} bytes of {key!r} after a PUT"
                    )
                )

    def delete_versions(
        self, bucket: str, versions: list[Version]
    ) -> dict[Version, UploadDeferred]:
        """Delete up to 1,000 versions or markers; return what stayed and why. Deleting one again
        does no harm."""
        # XML cannot write every character of a key.
        together = [version for version in versions if version[0].isprintable()]
        left = {}
        try:
            if len(together) > 1:
                left = self._delete_together(bucket, together)
            else:
                together = []
        except RequestRefused as error:
            if error.code not in _UNSUPPORTED:
                raise self._of_delete(bucket, together[0][0], error) from error
            together = []
        for key, version_id in set(versions).difference(together):
            try:
                self._call("DELETE", bucket, key, query=_version(version_id))
            except RequestRefused as error:
                left |= self._stayed(bucket, (key, version_id), error)
        return left

    def _delete_together(
        self, bucket: str, versions: list[Version]
    ) -> dict[Version, UploadDeferred]:
        """DeleteObjects: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
        objects = "".join(
            f"<Object><Key>{escape(key)}</Key><VersionId>{escape(version_id)}</VersionId></Object>"
            for key, version_id in versions
        )
        body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": md5, "content-type": "application/xml"}
        answer = self._call("POST", bucket, query={"delete": ""}, headers=headers, body=body).xml()
        left: dict[Version, UploadDeferred] = {}
        for error in answer.iterfind("Error"):
            version = text_of(error, "Key"), text_of(error, "VersionId")
            left |= self._stayed(bucket, version, RequestRefused(text_of(error, "Code")))
        return left

    def _stayed(
        self, bucket: str, version: Version, error: RequestRefused
    ) -> dict[Version, UploadDeferred]:
        problem = self._of_delete(bucket, version[0], error)
        if isinstance(problem, ObjectMissing):
            return {}
        if isinstance(problem, UploadDeferred):
            return {version: problem}
        raise problem from error

    def delete_if(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        """Delete the object if it still has the ETag, as far as the store looks at that.

        Sent once: a repeat could hit an upload that came after the first one had worked.
        ObjectMissing: it has another ETag.
        """

        def delete(headers: dict[str, str]) -> None:
            self._call(
                "DELETE", bucket, key, query=_version(version_id), headers=headers, attempts=1
            )

        try:
            try:
                delete({"if-match": f'"{etag}"'})
            except RequestRefused as error:
                if error.code not in ("501", "NotImplemented"):
                    raise
                delete({})
        except RequestRefused as error:
            raise self._of_delete(bucket, key, error) from error

    def _call(self, method: str, bucket: str, key: str = "", **arguments: Any) -> Response:
        try:
            return self._client.call(method, bucket, key, **arguments)
        except NoResponse as error:
            if key and isinstance(error, ResponseTruncated):
                raise UploadDeferred(
                    self._sentence(bucket, f"broke off its answer for {key!r}")
                ) from error
            problem = f"did not answer ({error})"
            raise ServiceUnavailable(
                self._sentence(bucket, f"{problem}: is the endpoint right and up?")
            ) from error

    def _of_object(self, bucket: str, key: str, error: RequestRefused) -> Exception:
        if error.code in _EVERYWHERE:
            return ServiceUnavailable(self._refused(bucket, error))
        if error.code in _MISSING or error.code in _CHANGED:
            return ObjectMissing(key)
        return UploadDeferred(self._sentence(bucket, f"answered {error.code} for {key!r}"))

    def _of_delete(self, bucket: str, key: str, error: RequestRefused) -> Exception:
        if error.code in ("AccessDenied", "403"):
            return ServiceUnavailable(
                self._sentence(bucket, "does not let us delete: grant it to our key")
            )
        return self._of_object(bucket, key, error)

    def _refused(self, bucket: str, error: RequestRefused) -> str:
        return self._sentence(
            bucket,
            _EVERYWHERE.get(error.code) or f"refuses us ({error.code}): check its keys",
        )

    def _sentence(self, bucket: str, problem: str) -> str:
        return f"The bucket {bucket!r} at {self.endpoint} {problem}."


def open_store(settings: Settings) -> Store:
    """Return the pipeline's object store; the two credentials `s3-…` are read."""
    access, secret = settings.credential("s3-access-key"), settings.credential("s3-secret-key")
    return Store(settings.store, access, secret)


def _version(version_id: str) -> dict[str, str]:
    return {"versionId": version_id} if version_id else {}
