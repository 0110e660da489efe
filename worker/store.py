"""The object store over S3. Every retry is botocore's, set here; no rule about deleting is here.

Works on stores without versions and without conditional requests (rclone), and on Ceph RGW.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from worker.errors import Gone, Left, Obstacle
from worker.listing import Entry, Page
from worker.settings import StoreSettings

_CHUNK = 1 << 20
_MISSING = {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}
_UNSUPPORTED = {"501", "NotImplemented", "405", "MethodNotAllowed"}
_EVERYWHERE = {  # said of one object, but true of all
    "NoSuchBucket": "does not exist: name the right one in the settings, or make it",
    "InvalidAccessKeyId": "does not know our access key: renew the credential s3-access-key",
    "SignatureDoesNotMatch": "refuses our signature: renew the credential s3-secret-key",
    "QuotaExceeded": "is full (QuotaExceeded): make room or ask for a larger quota",
    "RequestTimeTooSkewed": "says that this machine's clock is wrong: set it",
}


@dataclass(frozen=True)
class Found:
    """What a GET or HEAD answered about an object."""

    etag: str
    last_modified: datetime
    size: int


@dataclass(frozen=True)
class Contents:
    """A file, its hashes (sha256 in hex, the raw md5 that S3 checks a PUT by) and its length."""

    path: Path
    sha256: str
    md5: bytes
    size: int


def contents_of(path: Path) -> Contents:
    """Hash a file."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
    return Contents(path, sha256.hexdigest(), md5.digest(), size)


class Store:
    """One S3 endpoint. Raises Obstacle, Left or Gone; nothing of botocore leaves it."""

    def __init__(self, settings: StoreSettings, access: str, secret: str, connections: int) -> None:
        self.endpoint = settings.endpoint

        def client(attempts: int) -> Any:
            return boto3.client(
                "s3",
                endpoint_url=settings.endpoint,
                region_name=settings.region or "us-east-1",  # signed, and ignored by Ceph
                aws_access_key_id=access,
                aws_secret_access_key=secret,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    connect_timeout=5,
                    read_timeout=60,
                    max_pool_connections=connections,
                    s3={"addressing_style": "path"},
                    # boto3 1.36 and later send and want checksums that Ceph does not know.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )

        self._client = client(4)
        self._new_client = client

    @cached_property
    def _impatient(self) -> Any:
        return self._new_client(1)

    def versioned(self, bucket: str) -> bool:
        """Whether the bucket has, or once had, versions."""
        try:
            answer = self._call("get_bucket_versioning", bucket)
        except ClientError as error:
            if _code(error) in _UNSUPPORTED:
                return False
            raise Obstacle(self._refused(bucket, error)) from error
        return answer.get("Status") in ("Enabled", "Suspended")

    def reach(self, bucket: str) -> None:
        """Raise Obstacle unless the bucket is there for us."""
        try:
            self._call("head_bucket", bucket)
        except ClientError as error:
            if _code(error) in _MISSING:
                raise Obstacle(self._sentence(bucket, _EVERYWHERE["NoSuchBucket"])) from error
            raise Obstacle(self._refused(bucket, error)) from error

    def pages(self, bucket: str, versioned: bool) -> Iterator[Page]:
        """List the bucket, a page of at most 1,000 lines at a time."""
        name = "list_object_versions" if versioned else "list_objects_v2"
        arguments: dict[str, str] = {}
        while True:
            try:
                page = self._call(name, bucket, **arguments)
            except ClientError as error:
                raise Obstacle(self._refused(bucket, error)) from error
            if versioned:
                entries = [_entry(line, False) for line in page.get("Versions", [])]
                entries += [_entry(line, True) for line in page.get("DeleteMarkers", [])]
            else:
                entries = [_entry(line, False) for line in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                yield Page(entries)
                return
            if versioned:
                arguments = {"KeyMarker": page["NextKeyMarker"]}
                if page.get("NextVersionIdMarker"):
                    arguments["VersionIdMarker"] = page["NextVersionIdMarker"]
                yield Page(entries, page["NextKeyMarker"])
            else:
                arguments = {"ContinuationToken": page["NextContinuationToken"]}
                yield Page(entries)

    def get(
        self, bucket: str, key: str, version_id: str, etag: str, target: Path
    ) -> tuple[Found, str]:
        """Read an object, or one version of it, into a file; also its sha256.

        Gone: it is not there, or no longer with this ETag where the store looks at that.
        """
        pin = {"VersionId": version_id} if version_id else {"IfMatch": f'"{etag}"'}
        try:
            answer = self._call("get_object", bucket, Key=key, **pin)
            size, sha256 = 0, hashlib.sha256()
            with target.open("wb") as file:
                while chunk := answer["Body"].read(_CHUNK):
                    size += file.write(chunk)
                    sha256.update(chunk)
        except ClientError as error:
            raise self._of_object(bucket, key, error) from error
        except BotoCoreError as error:  # the body ended early, or never came
            raise Left(self._sentence(bucket, f"broke off while {key!r} was read")) from error
        return Found(_etag(answer), answer["LastModified"], size), sha256.hexdigest()

    def head(self, bucket: str, key: str, version_id: str = "") -> Found:
        """What the object, or the version, is now. Gone: it is not there."""
        try:
            if version_id:  # not HEAD: some stores refuse it for the version "null"
                answer = self._call("get_object", bucket, Key=key, VersionId=version_id)
                answer["Body"].close()
            else:
                answer = self._call("head_object", bucket, Key=key)
        except ClientError as error:
            if version_id and _code(error) in _UNSUPPORTED:  # a delete marker by now
                raise Gone(key) from error
            raise self._of_object(bucket, key, error) from error
        return Found(_etag(answer), answer["LastModified"], answer["ContentLength"])

    def put(
        self,
        bucket: str,
        key: str,
        contents: Contents,
        content_type: str,
        metadata: dict[str, str],
    ) -> None:
        """Write a file as an object; the store has checked its md5 and length, or we have."""
        try:
            with contents.path.open("rb") as body:
                answer = self._call(
                    "put_object",
                    bucket,
                    Key=key,
                    Body=body,
                    ContentLength=contents.size,
                    ContentMD5=b64encode(contents.md5).decode(),
                    ContentType=content_type,
                    Metadata=metadata,
                )
        except ClientError as error:
            if _code(error) in ("AccessDenied", "403"):
                raise Obstacle(self._refused(bucket, error)) from error
            raise self._of_object(bucket, key, error) from error
        if _etag(answer) != contents.md5.hex():  # encrypted stores differ
            try:
                stored = self.head(bucket, key).size
            except Gone:
                stored = -1
            if stored != contents.size:
                raise Left(
                    self._sentence(
                        bucket, f"holds {stored} of {contents.size} bytes of {key!r} after a PUT"
                    )
                )

    def delete_version(self, bucket: str, key: str, version_id: str) -> None:
        """Delete one version or marker; deleting it again does no harm."""
        try:
            self._call("delete_object", bucket, Key=key, VersionId=version_id)
        except ClientError as error:
            raise self._of_delete(bucket, key, error) from error

    def delete_if(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        """Delete the object if it still has the ETag, as far as the store looks at that.

        Sent once: a repeat that botocore sent by itself could hit an upload that came after the
        first one had worked. Gone: it has another ETag.
        """
        pin = {"VersionId": version_id} if version_id else {}
        client = self._impatient
        try:
            try:
                self._call("delete_object", bucket, client, Key=key, IfMatch=f'"{etag}"', **pin)
            except ClientError as error:
                if _code(error) not in ("501", "NotImplemented"):
                    raise
                self._call("delete_object", bucket, client, Key=key, **pin)
        except ClientError as error:
            raise self._of_delete(bucket, key, error) from error

    def _call(self, name: str, bucket: str, client: Any = None, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(client or self._client, name)(
                Bucket=bucket, **arguments
            )
        except BotoCoreError as error:
            problem = f"did not answer ({type(error).__name__})"
            raise Obstacle(
                self._sentence(bucket, f"{problem}: is the endpoint right and up?")
            ) from (error)
        return answer

    def _of_object(self, bucket: str, key: str, error: ClientError) -> Exception:
        code = _code(error)
        if code in _EVERYWHERE:
            return Obstacle(self._refused(bucket, error))
        if code in _MISSING or code in _CHANGED:
            return Gone(key)
        return Left(self._sentence(bucket, f"answered {code} for {key!r}"))

    def _of_delete(self, bucket: str, key: str, error: ClientError) -> Exception:
        if _code(error) in ("AccessDenied", "403"):
            return Obstacle(self._sentence(bucket, "does not let us delete: grant it to our key"))
        return self._of_object(bucket, key, error)

    def _refused(self, bucket: str, error: ClientError) -> str:
        code = _code(error)
        return self._sentence(
            bucket, _EVERYWHERE.get(code) or f"refuses us ({code}): check its keys"
        )

    def _sentence(self, bucket: str, problem: str) -> str:
        return f"The bucket {bucket!r} at {self.endpoint} {problem}."


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _etag(answer: dict[str, Any]) -> str:
    """Without its quotes: rclone lists it bare and answers GET with them."""
    return str(answer.get("ETag", "")).strip('"')


def _entry(line: dict[str, Any], marker: bool) -> Entry:
    return Entry(
        key=line["Key"],
        last_modified=line["LastModified"],
        version_id=line.get("VersionId", ""),
        etag=_etag(line),
        size=line.get("Size", 0),
        latest=line.get("IsLatest", True),
        marker=marker,
    )
