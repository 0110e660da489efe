"""Deletion of objects and buckets."""

from cli.check_store.check import NO, YES, Check, Consequence, Severity, yes_if
from cli.check_store.checks import versions
from cli.check_store.scratch_buckets import ScratchBuckets
from cli.check_store.store import refusal

_BATCH = 1000  # most keys of one DeleteObjects (S3 API reference)


def _absent(scratch: ScratchBuckets) -> str:
    scratch.s3.delete_object(Bucket=scratch.bucket("plain"), Key=scratch.key())
    return YES


def _batch(scratch: ScratchBuckets) -> str:
    """Three keys exist: the length of a batch is what it names, not what exists."""
    bucket, prefix = scratch.bucket("plain"), scratch.key()
    keys = [f"{prefix}/{number}.jpg" for number in range(_BATCH)]
    for key in (keys[0], keys[500], keys[-1]):
        scratch.put(bucket, key)
    answer = scratch.s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
    )
    return yes_if(not answer.get("Errors") and not scratch.list_keys(bucket, f"{prefix}/"))


def _awkward_batch(scratch: ScratchBuckets) -> str:
    bucket, prefix = scratch.bucket("plain"), scratch.key()
    keys = [f"{prefix}/{name}" for name in ("two words", "plus+%2F", "<&>", "naïve 猫")]
    for key in keys:
        scratch.put(bucket, key)
    scratch.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    return yes_if(not scratch.list_keys(bucket, f"{prefix}/"))


def _batch_of_versions(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.versioned(), scratch.key()
    ids = [scratch.put(bucket, key, b"%d" % number)["VersionId"] for number in range(3)]
    deleted = [{"Key": key, "VersionId": one} for one in (ids[0], ids[2])]
    scratch.s3.delete_objects(Bucket=bucket, Delete={"Objects": deleted})
    remaining = scratch.s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
    return yes_if([line["VersionId"] for line in remaining] == ids[1:2])


def _absent_version(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.versioned(), scratch.key()
    scratch.s3.delete_object(Bucket=bucket, Key=key, VersionId="null")
    found = scratch.s3.list_object_versions(Bucket=bucket, Prefix=key)
    return yes_if(not found.get("Versions") and not found.get("DeleteMarkers"))


def _refused(scratch: ScratchBuckets, bucket: str) -> str:
    answer = refusal(scratch.s3.delete_bucket, Bucket=bucket)
    return answer if answer and not answer.startswith("409") else yes_if(bool(answer))


def _full_bucket(scratch: ScratchBuckets) -> str:
    bucket = scratch.bucket("full")
    scratch.put(bucket, scratch.key())
    return _refused(scratch, bucket)


def _bucket_of_versions(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.versioned("markers"), scratch.key()
    scratch.put(bucket, key)
    scratch.s3.delete_object(Bucket=bucket, Key=key)
    return NO if scratch.list_keys(bucket) else _refused(scratch, bucket)


_PROTECT = "A bucket deleted by mistake takes its photos with it: keep protectData on."
CHECKS = (
    Check(
        "delete-absent",
        "Deleting a missing object succeeds",
        _absent,
        Consequence(
            Severity.BROKEN, "A pass that is repeated after an interruption fails for ever."
        ),
    ),
    Check(
        "delete-batch",
        "DeleteObjects accepts 1,000 keys",
        _batch,
        Consequence(Severity.BROKEN, "'./pipeline destroy --data' cannot empty its buckets."),
    ),
    Check(
        "delete-awkward",
        "DeleteObjects accepts keys with spaces, +, %, <, & and non-Latin letters",
        _awkward_batch,
        Consequence(
            Severity.BROKEN,
            "'./pipeline destroy --data' cannot delete such keys, nor their bucket.",
        ),
    ),
    Check(
        "delete-versions",
        "DeleteObjects deletes the named versions only",
        _batch_of_versions,
        Consequence(Severity.BROKEN, "'./pipeline destroy --data' cannot empty its input bucket."),
        versions.NAME,
    ),
    Check(
        "delete-absent-version",
        "Deleting the version 'null' of a missing object changes nothing",
        _absent_version,
        Consequence(
            Severity.NOTE,
            "The worker asks so whether it may delete at all, once an upload is refused to it: "
            "locked uploads may be reported as a missing right.",
        ),
        versions.NAME,
    ),
    Check(
        "delete-full-bucket",
        "A bucket with objects cannot be deleted",
        _full_bucket,
        Consequence(Severity.DATA_LOSS, _PROTECT),
    ),
    Check(
        "delete-versioned-bucket",
        "A bucket with only old versions and delete markers cannot be deleted",
        _bucket_of_versions,
        Consequence(Severity.NOTE, _PROTECT),
        versions.NAME,
    ),
)
