"""Requests over S3, and the meaning of their failures: for one object, or for the whole bucket.

quirks.py lists the differences between stores.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from xml.etree import ElementTree as ET

from worker.errors import (
    DeletionRefused,
    NoResponse,
    ObjectMissing,
    PipelineError,
    RequestRefused,
    ServiceUnavailable,
    UploadDeferred,
)
from worker.settings import StoreSettings
from worker.store import quirks
from worker.store.client import Client, Response, Signer
from worker.store.retries import DOWNLOAD, PROBE, RetryPolicy
from worker.store.store import Version
from worker.uploads.upload import NULL_VERSION

_MISSING = {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}
_DENIED = {"403", "AccessDenied"}
_FULL = "QuotaExceeded"
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# A bucket that has no room for so little is full; one without room for more may take others.
_SMALL_BYTES = 1 << 20
#: No object has this key: requests for it show what the access key may do.
_PROBE_KEY = ".image-pipeline/nobody"
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


class S3Requests:
    """Sends requests to one endpoint, and turns failures into errors of one sentence.

    Args:
        settings: The endpoint and its region.
        access: The access key.
        secret: The secret key.
    """

    def __init__(self, settings: StoreSettings, access: str, secret: str) -> None:
        self.endpoint = settings.endpoint
        signer = Signer(settings.region or "us-east-1", access, secret)
        self.client = Client(settings.endpoint, signer)

    def call(self, method: str, bucket: str, key: str = "", **arguments: Any) -> Response:
        """Send a request.

        Args:
            method: The HTTP method.
            bucket: The bucket.
            key: The object key, "" for a request to the bucket.
            arguments: Those of `Client.call`.

        Returns:
            The successful response.

        Raises:
            RequestRefused: The store responded with an error; see the methods below.
            UploadDeferred: There was no response for this object, but the bucket responds.
            ServiceUnavailable: The store does not respond.
        """  # noqa: DOC502  raised by the client
        try:
            return self.client.call(method, bucket, key, **arguments)
        except ValueError as error:
            raise self._not_sent(bucket, key, error) from error
        except NoResponse as error:
            if key:
                raise self.no_response(bucket, repr(key), error) from error
            problem = f"did not respond ({error}): check that the endpoint is right and running"
            raise ServiceUnavailable(self.sentence(bucket, problem)) from error

    @contextmanager
    def stream(
        self, bucket: str, key: str, version_id: str
    ) -> Iterator[tuple[dict[str, str], Iterator[bytes]]]:
        """Read an object or version; see `Client.stream`.

        Yields:
            The headers, and the body in pieces.

        Raises:
            ObjectMissing: It does not exist.
            UploadDeferred: There is no whole response for this object, but the bucket responds.
            ServiceUnavailable: The store does not respond.
        """  # noqa: DOC502  raised by read_error and no_response
        query = version_query(version_id)
        with ExitStack() as stack:
            try:
                sent = self.client.stream(bucket, key, query=query, retry=DOWNLOAD)
                headers, pieces = stack.enter_context(sent)
            except ValueError as error:
                raise self._not_sent(bucket, key, error) from error
            except NoResponse as error:
                raise self.no_response(bucket, repr(key), error) from error
            except RequestRefused as error:
                raise self.read_error(bucket, key, version_id, error) from error
            yield headers, self._pieces(bucket, key, pieces)

    def _pieces(self, bucket: str, key: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except NoResponse as error:
            raise self.no_response(bucket, repr(key), error) from error

    def _not_sent(self, bucket: str, key: str, error: ValueError) -> UploadDeferred:
        problem = f"cannot be sent a request for {key!r}: {error}"
        return UploadDeferred(self.sentence(bucket, problem))

    def check(self, bucket: str, retry: RetryPolicy = PROBE) -> None:
        """Raise ServiceUnavailable unless the bucket exists and responds."""
        try:
            self.call("HEAD", bucket, retry=retry)
        except RequestRefused as error:
            if error.code in _MISSING:
                error = RequestRefused("NoSuchBucket")
            raise self.bucket_error(bucket, error) from error

    def no_response(self, bucket: str, subject: str, error: NoResponse) -> UploadDeferred:
        """Return the error of a request without a response.

        Raises:
            ServiceUnavailable: The bucket does not respond either.
        """  # noqa: DOC502  raised by check
        self.check(bucket)
        return UploadDeferred(
            self.sentence(bucket, f"sent no whole response for {subject} ({error})")
        )

    def deferral(self, bucket: str, subject: str, error: RequestRefused) -> UploadDeferred:
        """Return the error of a refused request that does not concern other objects.

        Raises:
            ServiceUnavailable: The store is overloaded, and does not serve the bucket either.
        """  # noqa: DOC502  raised by check
        if error.is_overload:
            self.check(bucket)
            return UploadDeferred(
                self.sentence(bucket, f"is overloaded ({error.code}) for {subject}")
            )
        return UploadDeferred(self.sentence(bucket, f"responded {error.code} for {subject}"))

    def object_error(self, bucket: str, key: str, error: RequestRefused) -> PipelineError:
        """Return what a refused request for an object means."""
        if error.code in _BUCKET_PROBLEMS:
            return self.bucket_error(bucket, error)
        if is_missing(error):
            return ObjectMissing(key)
        return self.deferral(bucket, repr(key), error)

    def read_error(
        self, bucket: str, key: str, version_id: str, error: RequestRefused
    ) -> PipelineError:
        """Return what a refused GET or HEAD of an object or version means."""
        if version_id and quirks.DELETE_MARKER_NOT_ALLOWED.explains(error):
            return ObjectMissing(key)
        return self.object_error(bucket, key, error)

    def put_error(self, bucket: str, key: str, size: int, error: RequestRefused) -> PipelineError:
        """Return what a refused PUT or copy of this size means."""
        if error.code in _DENIED and not self._may_write(bucket):
            return self.bucket_error(bucket, error)
        if error.code == _FULL:
            problem = (
                f"has no room for {size} bytes ({_FULL}): free space or ask for a larger quota"
            )
            kind = ServiceUnavailable if size < _SMALL_BYTES else UploadDeferred
            return kind(self.sentence(bucket, problem))
        if error.code in _BUCKET_PROBLEMS:
            return self.bucket_error(bucket, error)
        return self.deferral(bucket, repr(key), error)

    def delete_error(
        self, bucket: str, version: Version, error: RequestRefused, *, may_delete: bool = False
    ) -> PipelineError:
        """Return what a refused DELETE of a version means.

        Args:
            bucket: The bucket.
            version: The version; its id is "" where there are none.
            error: The store's response.
            may_delete: Whether other versions are known to be deletable.

        Returns:
            DeletionRefused if the store refuses to delete this version only.
        """
        key, version_id = version
        if error.code in _DENIED and not (may_delete or self._may_delete(bucket, version_id)):
            problem = "refused a DELETE: grant the right to delete to the access key"
            return ServiceUnavailable(self.sentence(bucket, problem))
        failure = self.object_error(bucket, key, error)
        if error.is_temporary or not isinstance(failure, UploadDeferred):
            return failure
        return DeletionRefused(
            self.sentence(bucket, f"refused to delete {key!r} ({error.code}): it may be locked")
        )

    def _may_write(self, bucket: str) -> bool:
        """Return whether other objects may be stored, without storing one."""
        try:
            created = self.call("POST", bucket, _PROBE_KEY, query={"uploads": ""}).xml()
            self.call("DELETE", bucket, _PROBE_KEY, query={"uploadId": text(created, "UploadId")})
        except (RequestRefused, UploadDeferred):
            return False
        return True

    def _may_delete(self, bucket: str, version_id: str) -> bool:
        """Return whether other objects may be deleted, without deleting one."""
        query = version_query(version_id and NULL_VERSION)
        try:
            self.call("DELETE", bucket, _PROBE_KEY, query=query, headers={"if-match": '"nobody"'})
        except RequestRefused as error:
            return error.code not in _DENIED
        except UploadDeferred:
            return False
        return True

    def bucket_error(self, bucket: str, error: RequestRefused) -> ServiceUnavailable:
        """Return what a refused request for a bucket means."""
        if error.is_overload:
            problem = f"is overloaded ({error.code}): the worker retries by itself"
        elif error.is_temporary:
            problem = f"failed ({error.code}): if it persists, report it to the store's operator"
        else:
            problem = f"refused the request ({error.code}): check the access key and its rights"
        problem = _BUCKET_PROBLEMS.get(error.code, problem)
        return ServiceUnavailable(self.sentence(bucket, problem))

    def sentence(self, bucket: str, problem: str) -> str:
        """Return a sentence on a bucket."""
        return f"The bucket {bucket!r} at {self.endpoint} {problem}."


def checked(response: Response) -> ET.Element:
    """Return the XML of a response that may have the status 200 and yet be an error.

    S3 API reference: CopyObject, UploadPartCopy, CompleteMultipartUpload.

    Raises:
        RequestRefused: It is an error.
    """
    root = response.xml()
    if root.tag == "Error":
        raise RequestRefused(root.findtext("Code") or "InternalError")
    return root


def is_missing(error: RequestRefused) -> bool:
    """Return whether the object is missing, or has another ETag."""
    return error.code in _MISSING or error.code in _CHANGED


def version_query(version_id: str) -> dict[str, str]:
    """Return the query parameters of a version, "" for none."""
    return {"versionId": version_id} if version_id else {}


def escape(content: str) -> str:
    """Return text as the content of an element (XML 1.0, 2.4).

    `xml.sax.saxutils` has it too, but imports `urllib.request` and `http.client`: 0.7 MB of memory.
    """
    return content.translate(_ENTITIES)


def text(element: ET.Element, name: str) -> str:
    """Return a child's text, "" if it is missing."""
    return element.findtext(name) or ""
