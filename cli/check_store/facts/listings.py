"""The listing is the queue: what it does not name is not done."""

import time
from datetime import datetime

from cli.check_store.fact import YES, Fact, Loss, Weight, holds
from cli.check_store.ground import Ground
from cli.check_store.half import Half

_ROUNDS = 8
# In the order of their bytes; a locale, or UTF-16, would sort them otherwise.
_ORDERED = ["A.jpg", "B.jpg", "a.jpg", "b.jpg", "ä.jpg", "\ufb01.jpg", "\U0001f408.jpg"]


def _pages(ground: Ground) -> str:
    bucket = ground.bucket("listed")
    for key in _ORDERED:
        ground.put(bucket, key)
    return holds(sorted(ground.listed(bucket, page=2)) == sorted(_ORDERED))


def _order(ground: Ground) -> str:
    bucket = ground.bucket("listed")
    for key in _ORDERED:
        ground.put(bucket, key)
    return holds(ground.listed(bucket) == _ORDERED)


def _at_once(ground: Ground) -> str:
    bucket = ground.bucket("plain")
    for _ in range(_ROUNDS):
        key = ground.key()
        ground.put(bucket, key)
        if ground.listed(bucket, key) != [key]:
            return "a put is listed late"
        ground.s3.delete_object(Bucket=bucket, Key=key)
        if ground.listed(bucket, key):
            return "a delete is listed late"
    return YES


def _prefixes(ground: Ground) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "c.jpg"):
        ground.put(bucket, f"{key}/{name}")
    answer = ground.s3.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", Delimiter="/")
    folders = [line["Prefix"] for line in answer.get("CommonPrefixes", [])]
    keys = [line["Key"] for line in answer.get("Contents", [])]
    return holds((folders, keys) == ([f"{key}/a/", f"{key}/b/"], [f"{key}/c.jpg"]))


def _listed_time(ground: Ground, bucket: str, key: str) -> datetime:
    line = ground.s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"][0]
    told: datetime = line["LastModified"]
    return told


def _same_time(ground: Ground) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    with Half(ground, bucket, key) as half:
        time.sleep(2)
        if refused := half.finish():
            return refused
    head = ground.s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    got = ground.s3.get_object(Bucket=bucket, Key=key)["LastModified"]
    if head != got:
        return "HEAD and GET differ"
    listed = _listed_time(ground, bucket, key).replace(microsecond=0)
    return YES if listed == head else "the listing differs"


def _later_time(ground: Ground) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    ground.put(bucket, key)
    former = ground.s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    time.sleep(1.1)
    ground.put(bucket, key)
    return holds(ground.s3.head_object(Bucket=bucket, Key=key)["LastModified"] > former)


def _fractions(ground: Ground) -> str:
    bucket, keys = ground.bucket("plain"), [ground.key() for _ in range(3)]
    for key in keys:
        ground.put(bucket, key)
        time.sleep(0.013)
    times = [_listed_time(ground, bucket, key) for key in keys]
    return holds(any(one.microsecond for one in times))


FACTS = (
    Fact(
        "listing-pages",
        "A listing in pages names every key once",
        _pages,
        Loss(Weight.BREAKS, "Pictures are overlooked, or worked on twice."),
    ),
    Fact(
        "listing-order",
        "Keys are listed in the order of their UTF-8 bytes",
        _order,
        Loss(Weight.LESS, "Nothing is lost: pictures are done in another order."),
    ),
    Fact(
        "listing-at-once",
        "What was put is listed at once, what was deleted no longer",
        _at_once,
        Loss(Weight.LESS, "Pictures wait for a later pass; one that is done may be looked for."),
    ),
    Fact(
        "listing-folders",
        "A listing by delimiter tells folders from keys",
        _prefixes,
        Loss(Weight.LESS, "Consoles that show folders show none. The worker asks for none."),
    ),
    Fact(
        "times-same",
        "Listing, HEAD and GET tell the same second of a PUT that took two",
        _same_time,
        Loss(
            Weight.LESS,
            "Nothing is lost: the worker goes by what GET and HEAD tell; rows have that time.",
        ),
    ),
    Fact(
        "times-later",
        "The same bytes put again a second later have a later time",
        _later_time,
        Loss(Weight.LOSES, "The same picture sent again is taken for the one done, and goes."),
    ),
    Fact(
        "times-fractions",
        "Listings tell times with fractions of a second",
        _fractions,
        Loss(Weight.LESS, "Nothing is lost: the worker counts whole seconds."),
    ),
)
