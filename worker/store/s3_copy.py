"""Copies within a store over S3: in one request, or in parts."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from worker.errors import ObjectMissing, PipelineError, RequestRefused, UploadDeferred
from worker.store.s3_multipart import S3Multipart
from worker.store.s3_requests import S3Requests, checked, is_missing, text
from worker.store.store import MAX_PARTS, Source
from worker.uploads.upload import MAX_PUT_BYTES

_PART_BYTES = 128 << 20  # a store copies that much before it has to respond


@dataclass(frozen=True)
class Copy:
    """A copy to be made.

    Attributes:
        requests: Those of the store.
        source: The object.
        size: Its size in bytes.
        bucket: The bucket to copy to.
        key: The copy's key.
        headers: Media type and metadata of the copy.
    """

    requests: S3Requests
    source: Source
    size: int
    bucket: str
    key: str
    headers: Mapping[str, str]

    def make(self) -> str:
        """Copy the object.

        Returns:
            The copy's ETag, or "" if it cannot be compared with the source's.

        Raises:
            ObjectMissing: The source does not exist, or has another ETag.
            UploadDeferred: It was not copied, others may be.
            ServiceUnavailable: Nothing can be stored in the bucket.
        """  # noqa: DOC502  raised by the requests
        try:
            return self._make()
        except RequestRefused as error:
            if is_missing(error):
                raise ObjectMissing(self.source.key) from error
            raise self.requests.put_error(self.bucket, self.key, self.size, error) from error

    def _make(self) -> str:
        headers = {**self._origin, **self.headers, "x-amz-metadata-directive": "REPLACE"}
        try:
            made = checked(self.requests.call("PUT", self.bucket, self.key, headers=headers))
        except (RequestRefused, UploadDeferred) as error:
            # quirks.COPY_IS_LIMITED; a store may also need too long for one response.
            if self.size <= (MAX_PUT_BYTES if isinstance(error, RequestRefused) else _PART_BYTES):
                raise
            self._make_parts()
            return ""
        return text(made, "ETag").strip('"')

    @property
    def _origin(self) -> dict[str, str]:
        source = self.source
        version = f"?versionId={quote(source.version_id)}" if source.version_id else ""
        return {
            "x-amz-copy-source": quote(f"/{source.bucket}/{source.key}") + version,
            "x-amz-copy-source-if-match": f'"{source.etag}"',
        }

    def _make_parts(self) -> None:
        """Copy as a multipart upload."""
        made = S3Multipart(self.requests, self.bucket, self.key, self.headers)
        length = max(_PART_BYTES, -(-self.size // MAX_PARTS))
        try:
            for start in range(0, self.size, length):
                end = min(start + length, self.size) - 1
                made.copy({**self._origin, "x-amz-copy-source-range": f"bytes={start}-{end}"})
            if made.complete() is None:
                raise RequestRefused("NoSuchUpload")
        except PipelineError:
            with suppress(PipelineError):
                made.abort()
            raise
