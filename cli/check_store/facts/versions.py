"""Versions: with them an upload is known by its id, and none is ever replaced unseen."""

from collections.abc import Callable
from typing import Any

from cli.check_store.fact import NO, Fact, Loss, Weight, holds
from cli.check_store.ground import Ground

NAME = "versions"


def _enabled(ground: Ground) -> str:
    bucket = ground.versioned()
    return holds(ground.s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")


def _lines(ground: Ground, bucket: str, key: str, kind: str = "Versions") -> list[dict[str, Any]]:
    answer = ground.s3.list_object_versions(Bucket=bucket, Prefix=key)
    return [line for line in answer.get(kind, []) if line["Key"] == key]


def _ids(ground: Ground, bucket: str, key: str) -> list[str]:
    return [line["VersionId"] for line in _lines(ground, bucket, key)]


def _put(ground: Ground, count: int) -> tuple[str, str, list[str]]:
    """So many versions of one key in quick succession; bucket, key, ids oldest first."""
    bucket, key = ground.versioned(), ground.key()
    ids = [ground.put(bucket, key, b"%d" % number)["VersionId"] for number in range(count)]
    return bucket, key, ids


def _kept(ground: Ground) -> str:
    bucket, key, ids = _put(ground, 2)
    return holds(sorted(_ids(ground, bucket, key)) == sorted(ids))


def _order(ground: Ground) -> str:
    bucket, key, ids = _put(ground, 6)
    return holds(_ids(ground, bucket, key) == ids[::-1])


def _latest(ground: Ground) -> str:
    bucket, key, ids = _put(ground, 3)
    latest = [line["VersionId"] for line in _lines(ground, bucket, key) if line["IsLatest"]]
    return holds(latest == ids[-1:])


def _pages(ground: Ground) -> str:
    bucket = ground.versioned("pages")
    made = []
    for key in ("a.jpg", "b.jpg"):
        made += [(key, ground.put(bucket, key)["VersionId"]) for _ in range(3)]
        marker = ground.s3.delete_object(Bucket=bucket, Key=key)
        made.append((key, marker["VersionId"]))
    pages = ground.s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    found = [
        (line["Key"], line["VersionId"])
        for page in pages
        for line in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    ]
    return holds(sorted(found) == sorted(made))


def _named(*keys: str) -> Callable[[Ground], str]:
    def ask(ground: Ground) -> str:
        bucket, folder = ground.versioned("named"), ground.key()
        ids = {key: ground.put(bucket, f"{folder}/{key}")["VersionId"] for key in keys}
        answer = ground.s3.list_object_versions(Bucket=bucket, Prefix=f"{folder}/")
        names = {line["Key"].removeprefix(f"{folder}/") for line in answer.get("Versions", [])}
        for key, version in ids.items():  # a key that is listed amiss is not found again
            ground.s3.delete_object(Bucket=bucket, Key=f"{folder}/{key}", VersionId=version)
        return holds(names == set(keys))

    return ask


def _get(ground: Ground) -> str:
    bucket, key, ids = _put(ground, 2)
    answer = ground.s3.get_object(Bucket=bucket, Key=key, VersionId=ids[0])
    return holds(answer["Body"].read() == b"0")


def _delete(ground: Ground) -> str:
    bucket, key, ids = _put(ground, 3)
    ground.s3.delete_object(Bucket=bucket, Key=key, VersionId=ids[2])
    back = ground.get(bucket, key) == b"1"
    ground.s3.delete_object(Bucket=bucket, Key=key, VersionId=ids[0])
    return holds(back and _ids(ground, bucket, key) == ids[1:2])


def _marker(ground: Ground) -> str:
    bucket, key, ids = _put(ground, 1)
    ground.s3.delete_object(Bucket=bucket, Key=key)
    markers = _lines(ground, bucket, key, "DeleteMarkers")
    if len(markers) != 1 or not markers[0]["IsLatest"] or _ids(ground, bucket, key) != ids:
        return NO
    ground.s3.delete_object(Bucket=bucket, Key=key, VersionId=markers[0]["VersionId"])
    return holds(ground.get(bucket, key) == b"0")


def _suspended(ground: Ground) -> str:
    bucket, key = ground.versioned("suspended"), ground.key()
    first = ground.put(bucket, key)["VersionId"]
    status = {"Status": "Suspended"}
    ground.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)
    for body in (b"1", b"2"):
        ground.put(bucket, key, body)
    return holds(_ids(ground, bucket, key) == ["null", first])


def _head(ground: Ground) -> str:
    bucket, key = ground.bucket("null"), ground.key()
    size = len(b"older")
    ground.put(bucket, key, b"older")  # before there are versions: its id is "null"
    ground.versioned("null")
    ground.put(bucket, key)
    answer = ground.s3.head_object(Bucket=bucket, Key=key, VersionId="null")
    return holds(answer["ContentLength"] == size)


_BROKEN = "The input bucket must not have versions there: set them off before anything is sent."
FACTS = (
    Fact(
        NAME,
        "Versions can be turned on",
        _enabled,
        Loss(
            Weight.LESS,
            "A picture that is replaced by another of the same name before the worker has come to "
            "it is never negated: only the newest one is.",
        ),
    ),
    Fact(
        "versions-kept",
        "What is overwritten stays as an older version",
        _kept,
        Loss(Weight.LOSES, f"Overwritten pictures are gone, versions or not. {_BROKEN}"),
        NAME,
    ),
    Fact(
        "versions-order",
        "Versions are listed newest first, also within one second",
        _order,
        Loss(
            Weight.LESS,
            "Of pictures of one name that came in the same second an older one may be taken for "
            "the newest: its negative is then what stays.",
        ),
        NAME,
    ),
    Fact(
        "versions-latest",
        "Just the newest version is marked as the latest",
        _latest,
        Loss(Weight.LOSES, f"An upload may be taken for one withdrawn by its user. {_BROKEN}"),
        NAME,
    ),
    Fact(
        "versions-pages",
        "A listing in pages names every version and delete marker once",
        _pages,
        Loss(Weight.BREAKS, f"Versions are overlooked, or worked on twice. {_BROKEN}"),
        NAME,
    ),
    Fact(
        "versions-names",
        "A listing of versions names keys with spaces, +, %, <, & and other alphabets as they are",
        _named("two words.jpg", "a+b%2F.jpg", "<&>.jpg", "naïve 猫.jpg"),
        Loss(Weight.BREAKS, f"Pictures with such names are never done. {_BROKEN}"),
        NAME,
    ),
    Fact(
        "versions-control",
        "A listing of versions names keys with tabs and carriage returns as they are",
        _named("a\tb.jpg", "a\rb.jpg"),
        Loss(Weight.LESS, "Pictures with such names are never done: rename them first."),
        NAME,
    ),
    Fact(
        "versions-get",
        "An older version can be read by its id",
        _get,
        Loss(Weight.BREAKS, f"The worker cannot read what it was sent. {_BROKEN}"),
        NAME,
    ),
    Fact(
        "versions-delete",
        "Deleting one version by its id leaves the others",
        _delete,
        Loss(Weight.LOSES, f"A newer picture goes with the one that was done. {_BROKEN}"),
        NAME,
    ),
    Fact(
        "versions-marker",
        "A plain DELETE leaves a delete marker; without it the picture is back",
        _marker,
        Loss(Weight.LESS, "What a user deletes before it was done cannot be told from the rest."),
        NAME,
    ),
    Fact(
        "versions-suspended",
        'With versions suspended, uploads have the id "null" and replace each other',
        _suspended,
        Loss(Weight.LESS, "Do not suspend versions on the input bucket there."),
        NAME,
    ),
    Fact(
        "versions-head",
        'HEAD tells of the version "null" that was there before versions were',
        _head,
        Loss(Weight.LESS, "Nothing is lost: the worker asks by GET instead."),
        NAME,
    ),
)
