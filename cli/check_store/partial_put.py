"""A PUT in progress: half of the body is sent and the connection stays open."""

import http.client
import secrets
from typing import Self
from urllib.parse import urlsplit

from cli.check_store.scratch_buckets import ScratchBuckets

_SIZE = 1 << 20  # bytes; half of it is more than any buffer on the way holds back
_TIMEOUT_SECONDS = 30
_OK = 200


class PartialPut:
    """Sends the first half on entry; leaving without `finish` closes the connection."""

    def __init__(self, scratch: ScratchBuckets, bucket: str, key: str) -> None:
        self._body = secrets.token_bytes(_SIZE)
        # A signature in the URL does not cover the body, so it can be sent at any pace.
        parameters = {"Bucket": bucket, "Key": key}
        url = urlsplit(scratch.s3.generate_presigned_url("put_object", Params=parameters))
        tls = url.scheme == "https"
        connection = http.client.HTTPSConnection if tls else http.client.HTTPConnection
        self._connection = connection(str(url.hostname), url.port, timeout=_TIMEOUT_SECONDS)
        self._target = f"{url.path}?{url.query}"

    def __enter__(self) -> Self:
        self._connection.putrequest("PUT", self._target)
        self._connection.putheader("Content-Length", str(_SIZE))
        self._connection.endheaders()
        self._connection.send(self._body[: _SIZE // 2])
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def finish(self) -> str:
        """Send the second half.

        Returns:
            The HTTP status of a refusal, "" for success.
        """
        self._connection.send(self._body[_SIZE // 2 :])
        response = self._connection.getresponse()
        response.read()
        return "" if response.status == _OK else str(response.status)
