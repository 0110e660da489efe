"""Listings: the worker processes what is listed."""

import time
from datetime import datetime

from cli.check_store.check import YES, Check, Consequence, Severity, yes_if
from cli.check_store.partial_put import PartialPut
from cli.check_store.scratch_buckets import ScratchBuckets

_ROUNDS = 8
# In the order of their bytes; a locale, or UTF-16, would sort them otherwise.
_ORDERED = ["A.jpg", "B.jpg", "a.jpg", "b.jpg", "ä.jpg", "\ufb01.jpg", "\U0001f408.jpg"]


def _pages(scratch: ScratchBuckets) -> str:
    bucket = scratch.bucket("listed")
    for key in _ORDERED:
        scratch.put(bucket, key)
    return yes_if(sorted(scratch.list_keys(bucket, page=2)) == sorted(_ORDERED))


def _order(scratch: ScratchBuckets) -> str:
    bucket = scratch.bucket("listed")
    for key in _ORDERED:
        scratch.put(bucket, key)
    return yes_if(scratch.list_keys(bucket) == _ORDERED)


def _at_once(scratch: ScratchBuckets) -> str:
    bucket = scratch.bucket("plain")
    for _ in range(_ROUNDS):
        key = scratch.key()
        scratch.put(bucket, key)
        if scratch.list_keys(bucket, key) != [key]:
            return "a PUT is listed late"
        scratch.s3.delete_object(Bucket=bucket, Key=key)
        if scratch.list_keys(bucket, key):
            return "a DELETE is listed late"
    return YES


def _prefixes(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "c.jpg"):
        scratch.put(bucket, f"{key}/{name}")
    answer = scratch.s3.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", Delimiter="/")
    folders = [line["Prefix"] for line in answer.get("CommonPrefixes", [])]
    keys = [line["Key"] for line in answer.get("Contents", [])]
    return yes_if((folders, keys) == ([f"{key}/a/", f"{key}/b/"], [f"{key}/c.jpg"]))


def _listed_time(scratch: ScratchBuckets, bucket: str, key: str) -> datetime:
    line = scratch.s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"][0]
    listed: datetime = line["LastModified"]
    return listed


def _same_time(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    with PartialPut(scratch, bucket, key) as upload:
        time.sleep(2)
        if refused := upload.finish():
            return refused
    head = scratch.s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    got = scratch.s3.get_object(Bucket=bucket, Key=key)["LastModified"]
    if head != got:
        return "HEAD and GET differ"
    listed = _listed_time(scratch, bucket, key).replace(microsecond=0)
    return YES if listed == head else "the listing differs"


def _later_time(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    scratch.put(bucket, key)
    old = scratch.s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    time.sleep(1.1)
    scratch.put(bucket, key)
    return yes_if(scratch.s3.head_object(Bucket=bucket, Key=key)["LastModified"] > old)


def _fractions(scratch: ScratchBuckets) -> str:
    bucket, keys = scratch.bucket("plain"), [scratch.key() for _ in range(3)]
    for key in keys:
        scratch.put(bucket, key)
        time.sleep(0.013)
    times = [_listed_time(scratch, bucket, key) for key in keys]
    return yes_if(any(one.microsecond for one in times))


CHECKS = (
    Check(
        "listing-pages",
        "A listing in pages has every key once",
        _pages,
        Consequence(Severity.BROKEN, "Photos are missed, or processed twice."),
    ),
    Check(
        "listing-order",
        "Keys are listed in the order of their UTF-8 bytes",
        _order,
        Consequence(Severity.NOTE, "Nothing is lost: photos are processed in another order."),
    ),
    Check(
        "listing-at-once",
        "A PUT and a DELETE appear in the next listing",
        _at_once,
        Consequence(
            Severity.NOTE, "Photos wait for a later pass; a processed one may be requested again."
        ),
    ),
    Check(
        "listing-folders",
        "A listing with a delimiter returns folders",
        _prefixes,
        Consequence(Severity.NOTE, "Web consoles show no folders. The worker needs none."),
    ),
    Check(
        "times-same",
        "Listing, HEAD and GET return the same second for a PUT that took two",
        _same_time,
        Consequence(
            Severity.NOTE,
            "Nothing is lost: the worker identifies an upload by its listing.",
        ),
    ),
    Check(
        "times-later",
        "A second PUT of the same bytes has a later time",
        _later_time,
        Consequence(
            Severity.DATA_LOSS, "A photo sent again is mistaken for the processed one and deleted."
        ),
    ),
    Check(
        "times-fractions",
        "Listings have fractions of a second",
        _fractions,
        Consequence(Severity.NOTE, "Nothing is lost: the worker compares whole seconds."),
    ),
)
