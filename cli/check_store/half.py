"""A PUT that is on its way: half of its bytes are sent, and nobody knows yet whether more come."""

import http.client
import secrets
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from cli.check_store.ground import Ground

SIZE = 1 << 20  # bytes; more than any buffer on the way holds back
SECONDS = 30
_OK = 200


class Half:
    """Sends the first half on entry; leaving without `finish` breaks the connection off."""

    def __init__(self, ground: Ground, bucket: str, key: str) -> None:
        self._body = secrets.token_bytes(SIZE)
        # A signature in the URL leaves the body unsigned, so it can be sent as it pleases us.
        where = {"Bucket": bucket, "Key": key}
        url = urlsplit(ground.s3.generate_presigned_url("put_object", Params=where))
        tls = url.scheme == "https"
        kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
        self._connection = kind(str(url.hostname), url.port, timeout=SECONDS)
        self._target = f"{url.path}?{url.query}"

    def __enter__(self) -> Self:
        self._connection.putrequest("PUT", self._target)
        self._connection.putheader("Content-Length", str(SIZE))
        self._connection.endheaders()
        self._connection.send(self._body[: SIZE // 2])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def finish(self) -> str:
        """Send the rest; the refusal's status, or empty."""
        self._connection.send(self._body[SIZE // 2 :])
        answer = self._connection.getresponse()
        answer.read()
        return "" if answer.status == _OK else str(answer.status)
