"""What is kept of an upload, and that none is seen before it is whole."""

import time

from cli.check_store.fact import NO, YES, Fact, Loss, Weight, holds
from cli.check_store.ground import Ground
from cli.check_store.half import Half
from cli.check_store.store import refusal
from cli.check_store.two_parts import PARTS, upload_in_two_parts

_SETTLED = 2.0  # seconds in which a store has noticed that a connection broke off
_METADATA = {"input-sha256": "e3b0c442"}
_MOST_METADATA = 2048  # bytes (S3 API reference)


def _unseen(ground: Ground) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    with Half(ground, bucket, key) as half:
        time.sleep(0.5)  # it takes a moment until the store has the half
        seen = key in ground.listed(bucket)
        if refused := half.finish():
            return refused
    return NO if seen else holds(key in ground.listed(bucket))


def _broken_off(ground: Ground) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    with Half(ground, bucket, key):
        time.sleep(0.5)
    deadline = time.monotonic() + _SETTLED
    while time.monotonic() < deadline:
        if key in ground.listed(bucket):
            return NO
        time.sleep(0.2)
    return YES


def _replaced_whole(ground: Ground) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    ground.put(bucket, key, b"former")
    with Half(ground, bucket, key) as half:
        time.sleep(0.5)
        former = ground.get(bucket, key) == b"former"
        if refused := half.finish():
            return refused
    return holds(former)


def _empty(ground: Ground) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    ground.put(bucket, key, b"")
    return holds(ground.get(bucket, key) == b"")


def _parts(ground: Ground) -> str:
    key = ground.key()
    upload_in_two_parts(ground, key)
    return holds(ground.get(ground.bucket("plain"), key) == b"".join(PARTS))


def _small_parts(ground: Ground) -> str:
    answer = refusal(upload_in_two_parts, ground=ground, key=ground.key(), parts=(b"a", b"b"))
    return holds(answer.startswith("400"))


def _range(ground: Ground) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    ground.put(bucket, key, b"picture")
    answer = ground.s3.get_object(Bucket=bucket, Key=key, Range="bytes=2-4")
    return holds(answer["Body"].read() == b"ctu")


def _kept(ground: Ground, **headers: object) -> dict[str, object]:
    where = {"Bucket": ground.bucket("plain"), "Key": ground.key()}
    ground.s3.put_object(**where, Body=b"picture", **headers)
    answer: dict[str, object] = ground.s3.head_object(**where)
    return answer


def _content_type(ground: Ground) -> str:
    return holds(_kept(ground, ContentType="image/webp")["ContentType"] == "image/webp")


def _metadata(ground: Ground) -> str:
    kept = _kept(ground, Metadata=_METADATA)["Metadata"]
    if kept == _METADATA:
        return YES
    lowered = isinstance(kept, dict) and {name.lower(): kept[name] for name in kept} == _METADATA
    return "capitalised" if lowered else NO


def _much_metadata(ground: Ground) -> str:
    metadata = {"name": "x" * (_MOST_METADATA - len("name"))}
    kept = _kept(ground, Metadata=metadata)["Metadata"]
    return holds(isinstance(kept, dict) and list(kept.values()) == list(metadata.values()))


FACTS = (
    Fact(
        "unseen",
        "A PUT that is on its way is not listed before it has ended",
        _unseen,
        Loss(
            Weight.LOSES,
            "A picture that takes its time to arrive is listed half, refused as damaged and put "
            "into quarantine: send it under a name that ends in '/', or through a gateway that "
            "waits.",
        ),
    ),
    Fact(
        "broken-off",
        "A PUT that breaks off leaves nothing",
        _broken_off,
        Loss(Weight.LOSES, "Half a picture stays, and is put into quarantine as damaged."),
    ),
    Fact(
        "replaced-whole",
        "While a PUT is on its way, what it replaces can still be read",
        _replaced_whole,
        Loss(Weight.LESS, "Whoever fetches a result at that moment must try again."),
    ),
    Fact(
        "empty",
        "An object may be empty",
        _empty,
        Loss(Weight.LESS, "Empty files cannot be sent. None of them is a picture."),
    ),
    Fact(
        "parts",
        "An upload in parts comes back whole",
        _parts,
        Loss(Weight.BREAKS, "'./pipeline put' cannot send pictures of 8 MB and more."),
    ),
    Fact(
        "small-parts",
        "A part below 5 MiB that is not the last is refused",
        _small_parts,
        Loss(Weight.LESS, "Nothing is lost: the store takes more than it must."),
    ),
    Fact(
        "range",
        "A GET of some bytes answers just those",
        _range,
        Loss(Weight.BREAKS, "'./pipeline get' cannot fetch large results."),
    ),
    Fact(
        "content-type",
        "The content type is kept",
        _content_type,
        Loss(Weight.LESS, "Browsers offer results for saving instead of showing them."),
    ),
    Fact(
        "metadata",
        "Names of metadata come back in lower case, as they were sent",
        _metadata,
        Loss(Weight.LESS, "Compare names of metadata (input-sha256) without regard to case."),
    ),
    Fact(
        "much-metadata",
        "2 KB of metadata are kept",
        _much_metadata,
        Loss(Weight.LESS, "Nothing is lost: the worker writes two hashes."),
    ),
)
