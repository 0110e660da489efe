"""Multipart uploads over S3: an object whose parts come one after another (S3 user guide).

Nothing is in the bucket before the upload is completed.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from worker.errors import RequestRefused
from worker.store.client import Response
from worker.store.s3_requests import S3Requests, checked, escape, text

#: Codes of a store that does not know an upload.
UNKNOWN_UPLOAD = {"404", "NoSuchUpload"}


class S3Multipart:
    """A multipart upload, begun when it is made; its methods raise RequestRefused.

    Args:
        requests: Those of the store.
        bucket: The bucket.
        key: The object key.
        headers: Media type and metadata of the object.

    Attributes:
        id: Stands for it in the store.
    """

    def __init__(
        self, requests: S3Requests, bucket: str, key: str, headers: Mapping[str, str]
    ) -> None:
        self._requests, self._where = requests, (bucket, key)
        created = self._call("POST", query={"uploads": ""}, headers=headers).xml()
        self.id = text(created, "UploadId")
        self._upload = {"uploadId": self.id}
        self._etags: list[str] = []
        self._md5 = hashlib.md5(usedforsecurity=False)

    @property
    def expected_etag(self) -> str:
        """The ETag that the object has where the ETag of a part is its MD5."""
        return f"{self._md5.hexdigest()}-{len(self._etags)}"

    def add(self, content: bytes) -> None:
        """Store the next part; all but the last have at least `MIN_PART_BYTES` (UploadPart)."""
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        headers = {"content-md5": b64encode(md5).decode()}
        response = self._call("PUT", query=self._next, headers=headers, body=content)
        self._etags.append(response.headers.get("etag", ""))
        self._md5.update(md5)

    def copy(self, headers: Mapping[str, str]) -> None:
        """Copy the next part from another object, which the headers name (UploadPartCopy)."""
        part = checked(self._call("PUT", query=self._next, headers=headers))
        self._etags.append(text(part, "ETag"))

    def complete(self) -> Response | None:
        """Make the object of the parts (CompleteMultipartUpload).

        Returns:
            The store's response; None if it does not know the upload: an earlier request, whose
            response was lost, may have completed it.

        Raises:
            RequestRefused: The object was not made.
        """
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(self._etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        try:
            response = self._call("POST", query=self._upload, body=body)
            checked(response)
        except RequestRefused as error:
            if error.code not in UNKNOWN_UPLOAD:
                raise
            return None
        return response

    def abort(self) -> None:
        """Delete the parts."""
        self._call("DELETE", query=self._upload)

    @property
    def _next(self) -> dict[str, str]:
        return {**self._upload, "partNumber": str(len(self._etags) + 1)}

    def _call(self, method: str, **arguments: Any) -> Response:
        return self._requests.call(method, *self._where, **arguments)
