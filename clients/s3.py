"""Buckets over S3: whether one exists, what it holds, and how to empty it.

Every function raises StoreError where the store refuses, fails or cannot be queried. boto3 is
imported inside them, since every dynamic provider loads this module.
"""

# ruff: noqa: PLC0415

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

from clients.errors import StoreError
from worker.store.retries import RetryPolicy

if TYPE_CHECKING:
    import boto3

#: The limit of keys in one DeleteObjects (S3 API reference).
BATCH = 1000
#: Some stores list keys for a moment after they are deleted.
STALE_LISTING = RetryPolicy(attempts=4, wait_seconds=2)
#: Answers of stores without versions: rclone, some appliances, proxies that lack the request.
UNKNOWN_VERB = ("NotImplemented", "MethodNotAllowed")
ABSENT = ("NoSuchBucket", "404")
FORBIDDEN = ("AccessDenied", "403")
CONFLICT = "409"
#: Ceph RGW makes a user at its project's first request, and answers 409 to concurrent ones
#: ("failed to store new user info").
FIRST_REQUEST = RetryPolicy(attempts=7, wait_seconds=0.3)
#: From here on the store has failed, not the request (RFC 9110, section 15.6).
FAILED = 500
# A session makes one client at a time (boto3's guide, "Multithreading or multiprocessing").
_making_client = threading.Lock()


def client(store: Mapping[str, Any]) -> Any:
    """Return an S3 client for `store`: endpoint, store_region, access_key, secret_key."""
    from botocore.config import Config

    with _making_client:
        return _session().client(
            "s3",
            endpoint_url=store["endpoint"],
            region_name=store["store_region"] or "us-east-1",
            aws_access_key_id=store["access_key"],
            aws_secret_access_key=store["secret_key"],
            config=Config(
                s3={"addressing_style": "path"},
                connect_timeout=20,
                read_timeout=120,
                retries={"mode": "standard", "max_attempts": 5},
                # Ceph RGW refuses the checksums that newer boto3 adds on its own.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


@cache
def _session() -> "boto3.session.Session":
    """Return the process's session, which reads boto3's descriptions of services once."""
    import boto3

    return boto3.session.Session()


def find(s3: Any, bucket: str) -> str:
    """Return whether a bucket is "ours", "taken" (by another owner) or "absent"."""
    codes = (*ABSENT, *FORBIDDEN, CONFLICT)
    with store_errors(bucket):
        for attempt in range(1, FIRST_REQUEST.attempts + 1):
            code, _ = _ask(codes, s3.head_bucket, Bucket=bucket)
            if code != CONFLICT:
                break
            time.sleep(FIRST_REQUEST.pause_seconds(attempt))
        else:
            raise StoreError(
                f"The object store still answers HeadBucket on bucket {bucket} with 409 (Conflict):"
                " run the same command again later."
            )
    if not code:
        return "ours"
    return "absent" if code in ABSENT else "taken"


def require_free(s3: Any, bucket: str) -> None:
    """Refuse a name that a bucket has already."""
    state = find(s3, bucket)
    if state == "ours":
        raise StoreError(
            f"Bucket {bucket} exists already and is yours: add it to adoptBuckets to use it as"
            " it is, or choose another name."
        )
    if state == "taken":
        raise StoreError(
            f"Bucket {bucket} belongs to another user (names are shared by all users of the"
            " store): choose another name."
        )


def require_own(s3: Any, bucket: str) -> None:
    """Refuse a bucket to adopt that these keys do not find."""
    if find(s3, bucket) != "ours":
        raise StoreError(
            f"Bucket {bucket} is to be adopted, but was not found with these keys: create it, or"
            " correct its name."
        )


def require_no_old_versions(s3: Any, bucket: str) -> None:
    """Refuse an input bucket whose old versions would count as uploads."""
    noncurrent, markers = old_versions(s3, bucket)
    if noncurrent or markers:
        raise StoreError(
            f"Bucket {bucket} cannot be the input bucket: it holds {noncurrent} noncurrent"
            f" versions and {markers} delete markers, which would count as uploads; remove them"
            " (a lifecycle rule does) or choose another bucket."
        )


def creation_time(s3: Any, bucket: str) -> str | None:
    """Return when a bucket of the keys' owner was made; None where the store does not say."""
    with store_errors(bucket):
        code, page = _ask(FORBIDDEN, s3.list_buckets)
    listed = () if code else page.get("Buckets", ())
    return next((str(each["CreationDate"]) for each in listed if each["Name"] == bucket), None)


def keep_versions(s3: Any, bucket: str) -> bool:
    """Turn versions on; return False where the store has none."""
    status = {"Status": "Enabled"}
    with store_errors(bucket):
        code, _ = _ask(
            UNKNOWN_VERB, s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=status
        )
    return not code


def old_versions(s3: Any, bucket: str) -> tuple[int, int]:
    """Return how many noncurrent versions and how many delete markers a bucket holds."""
    noncurrent = markers = 0
    start: dict[str, str] = {}
    with store_errors(bucket):
        while True:
            code, page = _ask(UNKNOWN_VERB, s3.list_object_versions, Bucket=bucket, **start)
            if code:
                return 0, 0
            noncurrent += sum(not version["IsLatest"] for version in page.get("Versions", ()))
            markers += len(page.get("DeleteMarkers", ()))
            if not page.get("IsTruncated"):
                return noncurrent, markers
            start = {"KeyMarker": page["NextKeyMarker"]}
            if page.get("NextVersionIdMarker"):
                start["VersionIdMarker"] = page["NextVersionIdMarker"]


def purge(s3: Any, bucket: str) -> int:
    """Delete every object, version and delete marker, if the bucket exists; return how many."""
    removed, attempt = 0, 1
    former: list[dict[str, str]] = []
    with store_errors(bucket):
        # Each listing begins at the start: the keys of the one before are deleted.
        while batch := list_some(s3, bucket):
            if batch != former:
                removed, attempt = removed + len(batch), 1
            elif attempt == STALE_LISTING.attempts:
                raise StoreError(
                    f"Bucket {bucket} still lists {batch[0]['Key'][:80]!r}, although the store"
                    " reported its deletion: run the same command again in some minutes, or delete"
                    " the object yourself."
                )
            else:
                time.sleep(STALE_LISTING.pause_seconds(attempt))
                attempt += 1
            _delete(s3, bucket, batch)
            former = batch
    return removed


def put(s3: Any, bucket: str, key: str, content: BinaryIO) -> None:
    """Store an object."""
    with store_errors(bucket):
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def holds(s3: Any, bucket: str, key: str) -> bool:
    """Return whether an object exists."""
    with store_errors(bucket):
        code, _ = _ask(ABSENT, s3.head_object, Bucket=bucket, Key=key)
    return not code


def remove(s3: Any, bucket: str, key: str) -> None:
    """Delete an object; one that is absent, or whose bucket is, is ignored."""
    with store_errors(bucket):
        _ask(ABSENT, s3.delete_object, Bucket=bucket, Key=key)


def list_some(s3: Any, bucket: str) -> list[dict[str, str]]:
    """Return up to a batch of what the bucket holds, with versions and markers."""
    code, page = _ask((*UNKNOWN_VERB, *ABSENT), s3.list_object_versions, Bucket=bucket)
    if not code:
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        return [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found][:BATCH]
    code, listing = _ask(ABSENT, s3.list_objects_v2, Bucket=bucket, MaxKeys=BATCH)
    if code:
        return []
    return [{"Key": item["Key"]} for item in listing.get("Contents", ())]


def _delete(s3: Any, bucket: str, batch: Sequence[Mapping[str, str]]) -> None:
    # XML cannot write every character of a key, and reads a carriage return as a line's end.
    for item in (item for item in batch if not item["Key"].isprintable()):
        s3.delete_object(Bucket=bucket, **item)
    together = [item for item in batch if item["Key"].isprintable()]
    if not together:
        return
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": together, "Quiet": True})
    for error in answer.get("Errors", ()):
        raise StoreError(
            f"Bucket {bucket} keeps {error['Key']!r} ({error['Code']}: {error.get('Message', '')}):"
            " remove its lock or retention, then run destroy again."
        )


def _ask(codes: Sequence[str], call: Callable[..., Any], **arguments: Any) -> tuple[str, Any]:
    """Return ("", answer), or (code, None) where the store refuses with one of `codes`."""
    from botocore.exceptions import ClientError

    try:
        return "", call(**arguments)
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        if code in codes:
            return code, None
        raise


@contextmanager
def store_errors(bucket: str) -> Iterator[None]:
    """Turn boto3's errors into a StoreError that names the bucket."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        fault = error.response["Error"]
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= FAILED:
            raise StoreError(
                f"The object store fails at {error.operation_name} on bucket {bucket}"
                f" ({fault['Code']}: {fault.get('Message', '')}): run the same command again later."
            ) from None
        raise StoreError(
            f"The object store refuses {error.operation_name} on bucket {bucket}"
            f" ({fault['Code']}: {fault.get('Message', '')}): check keys and permissions."
        ) from None
    except (BotoCoreError, OSError) as error:
        raise StoreError(
            f"The object store cannot be queried for bucket {bucket}: {error}"
        ) from None
