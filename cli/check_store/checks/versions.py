"""Versions: an upload is identified by its version id, and none is overwritten."""

from collections.abc import Callable
from typing import Any

from cli.check_store.check import NO, Check, Consequence, Severity, yes_if
from cli.check_store.scratch_buckets import ScratchBuckets

#: The check that the others here need.
NAME = "versions"


def _enabled(scratch: ScratchBuckets) -> str:
    bucket = scratch.versioned()
    return yes_if(scratch.s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")


def _lines(
    scratch: ScratchBuckets, bucket: str, key: str, kind: str = "Versions"
) -> list[dict[str, Any]]:
    answer = scratch.s3.list_object_versions(Bucket=bucket, Prefix=key)
    return [line for line in answer.get(kind, []) if line["Key"] == key]


def _ids(scratch: ScratchBuckets, bucket: str, key: str) -> list[str]:
    return [line["VersionId"] for line in _lines(scratch, bucket, key)]


def _put(scratch: ScratchBuckets, count: int) -> tuple[str, str, list[str]]:
    """Put versions of one key in quick succession; return bucket, key, ids oldest first."""
    bucket, key = scratch.versioned(), scratch.key()
    ids = [scratch.put(bucket, key, b"%d" % number)["VersionId"] for number in range(count)]
    return bucket, key, ids


def _kept(scratch: ScratchBuckets) -> str:
    bucket, key, ids = _put(scratch, 2)
    return yes_if(sorted(_ids(scratch, bucket, key)) == sorted(ids))


def _order(scratch: ScratchBuckets) -> str:
    bucket, key, ids = _put(scratch, 6)
    return yes_if(_ids(scratch, bucket, key) == ids[::-1])


def _latest(scratch: ScratchBuckets) -> str:
    bucket, key, ids = _put(scratch, 3)
    latest = [line["VersionId"] for line in _lines(scratch, bucket, key) if line["IsLatest"]]
    return yes_if(latest == ids[-1:])


def _pages(scratch: ScratchBuckets) -> str:
    bucket = scratch.versioned("pages")
    made = []
    for key in ("a.jpg", "b.jpg"):
        made += [(key, scratch.put(bucket, key)["VersionId"]) for _ in range(3)]
        marker = scratch.s3.delete_object(Bucket=bucket, Key=key)
        made.append((key, marker["VersionId"]))
    pages = scratch.s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    found = [
        (line["Key"], line["VersionId"])
        for page in pages
        for line in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    ]
    return yes_if(sorted(found) == sorted(made))


def _named(*keys: str) -> Callable[[ScratchBuckets], str]:
    def run(scratch: ScratchBuckets) -> str:
        bucket, folder = scratch.versioned("named"), scratch.key()
        ids = {key: scratch.put(bucket, f"{folder}/{key}")["VersionId"] for key in keys}
        answer = scratch.s3.list_object_versions(Bucket=bucket, Prefix=f"{folder}/")
        names = {line["Key"].removeprefix(f"{folder}/") for line in answer.get("Versions", [])}
        for (
            key,
            version,
        ) in ids.items():  # a key that is listed under another name is not found again
            scratch.s3.delete_object(Bucket=bucket, Key=f"{folder}/{key}", VersionId=version)
        return yes_if(names == set(keys))

    return run


def _get(scratch: ScratchBuckets) -> str:
    bucket, key, ids = _put(scratch, 2)
    answer = scratch.s3.get_object(Bucket=bucket, Key=key, VersionId=ids[0])
    return yes_if(answer["Body"].read() == b"0")


def _delete(scratch: ScratchBuckets) -> str:
    bucket, key, ids = _put(scratch, 3)
    scratch.s3.delete_object(Bucket=bucket, Key=key, VersionId=ids[2])
    back = scratch.get(bucket, key) == b"1"
    scratch.s3.delete_object(Bucket=bucket, Key=key, VersionId=ids[0])
    return yes_if(back and _ids(scratch, bucket, key) == ids[1:2])


def _marker(scratch: ScratchBuckets) -> str:
    bucket, key, ids = _put(scratch, 1)
    scratch.s3.delete_object(Bucket=bucket, Key=key)
    markers = _lines(scratch, bucket, key, "DeleteMarkers")
    if len(markers) != 1 or not markers[0]["IsLatest"] or _ids(scratch, bucket, key) != ids:
        return NO
    scratch.s3.delete_object(Bucket=bucket, Key=key, VersionId=markers[0]["VersionId"])
    return yes_if(scratch.get(bucket, key) == b"0")


def _suspended(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.versioned("suspended"), scratch.key()
    first = scratch.put(bucket, key)["VersionId"]
    status = {"Status": "Suspended"}
    scratch.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)
    for body in (b"1", b"2"):
        scratch.put(bucket, key, body)
    return yes_if(_ids(scratch, bucket, key) == ["null", first])


def _head(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("null"), scratch.key()
    size = len(b"older")
    scratch.put(bucket, key, b"older")  # before there are versions: its id is "null"
    scratch.versioned("null")
    scratch.put(bucket, key)
    answer = scratch.s3.head_object(Bucket=bucket, Key=key, VersionId="null")
    return yes_if(answer["ContentLength"] == size)


_BROKEN = "The input bucket must not have versions: disable them before anything is sent."
CHECKS = (
    Check(
        NAME,
        "Versioning can be enabled",
        _enabled,
        Consequence(
            Severity.NOTE,
            "Of photos sent under one name in quick succession only the newest is processed.",
        ),
    ),
    Check(
        "versions-kept",
        "An overwritten object stays as an older version",
        _kept,
        Consequence(Severity.DATA_LOSS, f"Overwritten photos are lost. {_BROKEN}"),
        NAME,
    ),
    Check(
        "versions-order",
        "Versions are listed newest first, also within a second",
        _order,
        Consequence(
            Severity.NOTE,
            "Of photos sent under one name in the same second an older one may be processed last: "
            "its result is the one that stays.",
        ),
        NAME,
    ),
    Check(
        "versions-latest",
        "Only the newest version is marked as the latest",
        _latest,
        Consequence(
            Severity.DATA_LOSS, f"An upload may be taken for one that its user deleted. {_BROKEN}"
        ),
        NAME,
    ),
    Check(
        "versions-pages",
        "A listing in pages has every version and delete marker once",
        _pages,
        Consequence(Severity.BROKEN, f"Versions are missed, or processed twice. {_BROKEN}"),
        NAME,
    ),
    Check(
        "versions-names",
        "A listing of versions has keys with spaces, +, %, <, & and non-Latin letters unchanged",
        _named("two words.jpg", "a+b%2F.jpg", "<&>.jpg", "naïve 猫.jpg"),
        Consequence(Severity.BROKEN, f"Photos with such names are never processed. {_BROKEN}"),
        NAME,
    ),
    Check(
        "versions-control",
        "A listing of versions has keys with tabs and carriage returns unchanged",
        _named("a\tb.jpg", "a\rb.jpg"),
        Consequence(Severity.NOTE, "Nothing is lost: the worker restores such keys."),
        NAME,
    ),
    Check(
        "versions-get",
        "An older version can be read by its id",
        _get,
        Consequence(Severity.BROKEN, f"The worker cannot read uploads. {_BROKEN}"),
        NAME,
    ),
    Check(
        "versions-delete",
        "Deleting one version by its id leaves the others",
        _delete,
        Consequence(
            Severity.DATA_LOSS, f"A newer photo is deleted with the processed one. {_BROKEN}"
        ),
        NAME,
    ),
    Check(
        "versions-marker",
        "A plain DELETE adds a delete marker; deleting that restores the object",
        _marker,
        Consequence(
            Severity.NOTE,
            "A photo that its user deleted before it was processed is processed anyway.",
        ),
        NAME,
    ),
    Check(
        "versions-suspended",
        'With versioning suspended, uploads have the id "null" and replace each other',
        _suspended,
        Consequence(Severity.NOTE, "Do not suspend versioning of the input bucket."),
        NAME,
    ),
    Check(
        "versions-head",
        'HEAD finds the version "null" from before versioning was enabled',
        _head,
        Consequence(Severity.NOTE, "Nothing is lost: the worker uses GET instead."),
        NAME,
    ),
)
