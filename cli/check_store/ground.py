"""The buckets of a probe's own: made when first needed, removed whatever happens."""

import secrets
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from cli.check_store.store import Store, told
from cli.errors import CommandError
from cli.terminal import print_progress
from infra.errors import StoreError
from infra.providers import s3

PREFIX = "pipeline-check-"


class Ground:
    """A store with a few empty buckets of random names.

    Raises CommandError where the keys may not make buckets.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.s3 = store.client(store.keys)
        self.other = store.client(store.other) if store.other else None
        self.name = PREFIX + secrets.token_hex(6)
        self._made: list[str] = []
        self._keys = 0

    def __enter__(self) -> Self:
        self.bucket("plain")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bucket in self._made:
            self._remove(bucket)

    def bucket(self, purpose: str) -> str:
        """The bucket of that purpose, made when there is none yet."""
        bucket = f"{self.name}-{purpose}"
        if bucket not in self._made:
            self._made.append(bucket)  # before it exists: an interruption may come in between
            try:
                self.store.make_bucket(self.s3, bucket)
            except ClientError as error:
                self._made.remove(bucket)
                raise CommandError(
                    f"The store at {self.store.endpoint} does not let these keys make a bucket "
                    f"({told(error)}): the check needs some of its own, so give it keys that may."
                ) from None
        return bucket

    def versioned(self, purpose: str = "versions") -> str:
        """A bucket in which versions are on."""
        bucket = self.bucket(purpose)
        status = {"Status": "Enabled"}
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)
        return bucket

    def key(self) -> str:
        """An object key that no other question uses."""
        self._keys += 1
        return f"{self._keys:03}.jpg"

    def put(self, bucket: str, key: str, body: bytes = b"picture") -> dict[str, Any]:
        """PUT, and what the store answers."""
        answer: dict[str, Any] = self.s3.put_object(Bucket=bucket, Key=key, Body=body)
        return answer

    def get(self, bucket: str, key: str) -> bytes:
        """The object's bytes."""
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def listed(self, bucket: str, prefix: str = "", page: int = 1000) -> list[str]:
        """All keys, in the order and as often as the store names them."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": page}
        )
        return [line["Key"] for answer in pages for line in answer.get("Contents", [])]

    def _remove(self, bucket: str) -> None:
        """Empty and delete; what cannot be removed is told, since the user has to do it."""
        try:
            s3.purge(self.s3, bucket)
            self.s3.delete_bucket(Bucket=bucket)
        except (StoreError, ClientError, BotoCoreError) as problem:
            if isinstance(problem, ClientError) and "NoSuchBucket" in told(problem):
                return
            print_progress(f"The check's own bucket {bucket} is still there: {problem}")
