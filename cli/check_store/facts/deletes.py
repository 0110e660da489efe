"""Deletes: of one, of many, of what is not there."""

from cli.check_store.fact import NO, YES, Fact, Loss, Weight, holds
from cli.check_store.facts import versions
from cli.check_store.ground import Ground
from cli.check_store.store import refusal

_BATCH = 1000  # most keys of one DeleteObjects (S3 API reference)


def _absent(ground: Ground) -> str:
    ground.s3.delete_object(Bucket=ground.bucket("plain"), Key=ground.key())
    return YES


def _batch(ground: Ground) -> str:
    """Three keys exist: a batch is long by what it names, not by what is there."""
    bucket, prefix = ground.bucket("plain"), ground.key()
    keys = [f"{prefix}/{number}.jpg" for number in range(_BATCH)]
    for key in (keys[0], keys[500], keys[-1]):
        ground.put(bucket, key)
    answer = ground.s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
    )
    return holds(not answer.get("Errors") and not ground.listed(bucket, f"{prefix}/"))


def _awkward_batch(ground: Ground) -> str:
    bucket, prefix = ground.bucket("plain"), ground.key()
    keys = [f"{prefix}/{name}" for name in ("two words", "plus+%2F", "<&>", "naïve 猫")]
    for key in keys:
        ground.put(bucket, key)
    ground.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    return holds(not ground.listed(bucket, f"{prefix}/"))


def _batch_of_versions(ground: Ground) -> str:
    bucket, key = ground.versioned(), ground.key()
    ids = [ground.put(bucket, key, b"%d" % number)["VersionId"] for number in range(3)]
    doomed = [{"Key": key, "VersionId": one} for one in (ids[0], ids[2])]
    ground.s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed})
    left = ground.s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
    return holds([line["VersionId"] for line in left] == ids[1:2])


def _guarded(ground: Ground, bucket: str) -> str:
    answer = refusal(ground.s3.delete_bucket, Bucket=bucket)
    return answer if answer and not answer.startswith("409") else holds(bool(answer))


def _full_bucket(ground: Ground) -> str:
    bucket = ground.bucket("full")
    ground.put(bucket, ground.key())
    return _guarded(ground, bucket)


def _bucket_of_versions(ground: Ground) -> str:
    bucket, key = ground.versioned("markers"), ground.key()
    ground.put(bucket, key)
    ground.s3.delete_object(Bucket=bucket, Key=key)
    return NO if ground.listed(bucket) else _guarded(ground, bucket)


_GUARD = "A bucket removed by mistake takes its pictures with it: keep protectData on."
FACTS = (
    Fact(
        "delete-absent",
        "Deleting what is not there does no harm",
        _absent,
        Loss(Weight.BREAKS, "A pass that was interrupted between two deletes never ends."),
    ),
    Fact(
        "delete-batch",
        "DeleteObjects takes 1,000 keys at once",
        _batch,
        Loss(Weight.BREAKS, "'./pipeline destroy --data' cannot empty its buckets."),
    ),
    Fact(
        "delete-awkward",
        "DeleteObjects takes keys with spaces, +, %, <, & and other alphabets",
        _awkward_batch,
        Loss(Weight.BREAKS, "'./pipeline destroy --data' leaves such keys, and so the bucket."),
    ),
    Fact(
        "delete-versions",
        "DeleteObjects takes versions and leaves the others",
        _batch_of_versions,
        Loss(Weight.BREAKS, "'./pipeline destroy --data' cannot empty its input bucket."),
        versions.NAME,
    ),
    Fact(
        "delete-full-bucket",
        "A bucket that holds objects cannot be deleted",
        _full_bucket,
        Loss(Weight.LOSES, _GUARD),
    ),
    Fact(
        "delete-versioned-bucket",
        "Nor can one that holds only older versions and delete markers",
        _bucket_of_versions,
        Loss(Weight.LESS, _GUARD),
        versions.NAME,
    ),
)
