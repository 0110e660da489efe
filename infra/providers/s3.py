"""Buckets over S3: is one there, does it hold old versions, empty it.

boto3 is imported inside: dynamic providers load this module.
"""

# ruff: noqa: PLC0415

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from infra.errors import StoreError
from infra.retries import Retries

#: Most keys that one DeleteObjects takes (S3 API reference).
BATCH = 1000
#: How often the same batch may be listed again after its deletion, a second longer each time.
TRIES = 4
#: What stores without versions answer: rclone, some appliances, proxies that know no such verb.
UNKNOWN_VERB = ("NotImplemented", "MethodNotAllowed")
ABSENT = ("NoSuchBucket", "404")
FORBIDDEN = ("AccessDenied", "403")
CONFLICT = "409"
#: Ceph RGW makes a user at its project's first request, and answers 409 to those that come
#: meanwhile ("failed to store new user info").
FIRST_REQUEST = Retries(first=0.2, factor=2.0, longest=3.0, attempts=6)
#: From here on it is the store that is in trouble, not the request (RFC 9110, section 15.6).
FAILED = 500


def client(store: Mapping[str, Any]) -> Any:
    """An S3 client for `store`: endpoint, store_region, access_key, secret_key."""
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
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


def find(s3: Any, bucket: str) -> str:
    """ours, taken (by another owner) or absent."""
    codes = (*ABSENT, *FORBIDDEN, CONFLICT)
    with sentences(bucket):
        code, _ = _ask(codes, s3.head_bucket, Bucket=bucket)
        for pause in FIRST_REQUEST.pauses():
            if code != CONFLICT:
                break
            time.sleep(pause)
            code, _ = _ask(codes, s3.head_bucket, Bucket=bucket)
    if code == CONFLICT:
        raise StoreError(
            f"The object store still answers 409 when asked for bucket {bucket}: run the same"
            " command again later."
        )
    if not code:
        return "ours"
    return "absent" if code in ABSENT else "taken"


def own_buckets(s3: Any) -> dict[str, str]:
    """Return name -> creation time of the keys' owner's buckets; none where listing is refused."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        listed = s3.list_buckets().get("Buckets", ())
    except (BotoCoreError, ClientError, OSError):
        return {}
    return {bucket["Name"]: bucket["CreationDate"].isoformat() for bucket in listed}


def creation_time(s3: Any, bucket: str) -> str | None:
    """Return when a bucket of the keys' owner was made; None where the store does not say."""
    return own_buckets(s3).get(bucket)


def keep_versions(s3: Any, bucket: str) -> bool:
    """Turns versions on; False where the store has none."""
    status = {"Status": "Enabled"}
    with sentences(bucket):
        code, _ = _ask(
            UNKNOWN_VERB, s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=status
        )
    return not code


def old_versions(s3: Any, bucket: str) -> tuple[int, int]:
    """How many noncurrent versions and delete markers a bucket holds."""
    noncurrent = markers = 0
    start: dict[str, str] = {}
    with sentences(bucket):
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
    """Removes every object, version and delete marker; returns how many. A lost bucket is empty."""
    removed = tries = 0
    former: list[dict[str, str]] = []
    with sentences(bucket):
        # Each listing starts anew: what was listed is gone, so no token outlives its keys.
        while batch := _some(s3, bucket):
            tries = tries + 1 if batch == former else 0
            if tries == TRIES:
                raise StoreError(
                    f"Bucket {bucket} still lists {batch[0]['Key'][:80]!r} though the store says "
                    "that it is deleted: try again in some minutes, or remove it by hand."
                )
            if tries:  # some list for a moment what is gone
                time.sleep(tries)
            _delete(s3, bucket, batch)
            removed += 0 if tries else len(batch)
            former = batch
    return removed


def put(s3: Any, bucket: str, key: str, content: bytes) -> None:
    """Stores an object."""
    with sentences(bucket):
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def holds(s3: Any, bucket: str, key: str) -> bool:
    """Whether an object is there."""
    with sentences(bucket):
        code, _ = _ask(ABSENT, s3.head_object, Bucket=bucket, Key=key)
    return not code


def remove(s3: Any, bucket: str, key: str) -> None:
    """Removes an object; one that is gone, or whose bucket is, is removed."""
    with sentences(bucket):
        _ask(ABSENT, s3.delete_object, Bucket=bucket, Key=key)


def _some(s3: Any, bucket: str) -> list[dict[str, str]]:
    """Up to a batch of what the bucket holds, versions and markers included."""
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
    """("", answer), or (code, None) where the store refuses with one of `codes`."""
    from botocore.exceptions import ClientError

    try:
        return "", call(**arguments)
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        if code in codes:
            return code, None
        raise


@contextmanager
def sentences(bucket: str) -> Iterator[None]:
    """Turns what boto3 raises into one sentence that names the bucket."""
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
        raise StoreError(f"The object store cannot be asked for bucket {bucket}: {error}") from None
