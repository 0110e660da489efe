"""Temporary buckets for the checks: created when first needed, always deleted."""

import secrets
from contextlib import suppress
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from cli.check_store.store import Store, describe
from cli.errors import CommandError
from cli.terminal import print_progress
from clients import s3
from clients.errors import StoreError

PREFIX = "pipeline-check-"
MIN_PART = 5 << 20  # bytes, of every part but the last (S3 API reference)
PARTS = (b"a" * MIN_PART, b"b")


class ScratchBuckets:
    """A store, and empty buckets with random names in it.

    Attributes:
        store: The store.
        s3: A client with our credentials.
        other: A client with another owner's, or None.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.s3 = store.client(store.credentials)
        self.other = store.client(store.other) if store.other else None
        self._stem = PREFIX + secrets.token_hex(6)
        self._created: list[str] = []
        self._keys = 0

    def __enter__(self) -> Self:
        self.bucket("plain")
        return self

    def __exit__(self, *_: object) -> None:
        for bucket in self._created:
            self._delete(bucket)

    def bucket(self, purpose: str) -> str:
        """Return the name of the bucket for a purpose; create it if there is none.

        Raises:
            CommandError: The credentials may not create buckets.
        """
        bucket = f"{self._stem}-{purpose}"
        if bucket not in self._created:
            self._created.append(bucket)  # before it exists: an interrupt may come in between
            try:
                self.store.create_bucket(self.s3, bucket)
            except ClientError as error:
                self._created.remove(bucket)
                raise CommandError(
                    f"The store at {self.store.endpoint} refused to create a bucket "
                    f"({describe(error)}): the check needs temporary buckets, so use keys that "
                    "may create them."
                ) from None
        return bucket

    def versioned(self, purpose: str = "versions") -> str:
        """Return the name of a bucket with versioning enabled."""
        bucket = self.bucket(purpose)
        status = {"Status": "Enabled"}
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)
        return bucket

    def key(self) -> str:
        """Return an object key that no other check uses."""
        self._keys += 1
        return f"{self._keys:03}.jpg"

    def put(self, bucket: str, key: str, body: bytes = b"picture") -> dict[str, Any]:
        """Store an object; return the store's response."""
        response: dict[str, Any] = self.s3.put_object(Bucket=bucket, Key=key, Body=body)
        return response

    def put_multipart(self, key: str, parts: tuple[bytes, ...] = PARTS) -> str:
        """Store an object in the bucket "plain" by a multipart upload.

        An upload that fails is aborted, so that its bucket can be deleted.

        Args:
            key: The object's key.
            parts: The bytes of each part.

        Returns:
            The ETag in the response.
        """
        object_ = {"Bucket": self.bucket("plain"), "Key": key}
        upload = {**object_, "UploadId": self.s3.create_multipart_upload(**object_)["UploadId"]}
        try:
            done = [
                {
                    "PartNumber": number,
                    "ETag": self.s3.upload_part(**upload, PartNumber=number, Body=part)["ETag"],
                }
                for number, part in enumerate(parts, 1)
            ]
            response = self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
            return str(response["ETag"])
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self.s3.abort_multipart_upload(**upload)
            raise

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes."""
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def list_keys(self, bucket: str, prefix: str = "", page: int = 1000) -> list[str]:
        """Return all keys, in the order and as often as the store lists them."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": page}
        )
        return [entry["Key"] for each in pages for entry in each.get("Contents", [])]

    def _delete(self, bucket: str) -> None:
        """Empty and delete a bucket; print a warning if that fails."""
        try:
            s3.purge(self.s3, bucket)
            self.s3.delete_bucket(Bucket=bucket)
        except (StoreError, ClientError, BotoCoreError) as problem:
            if isinstance(problem, ClientError) and "NoSuchBucket" in describe(problem):
                return
            print_progress(f"The check's bucket {bucket} could not be deleted: {problem}")
