"""Uploads: visible only when complete, and kept with their metadata."""

import time

from cli.check_store.check import NO, YES, Check, Consequence, Severity, yes_if
from cli.check_store.partial_put import PartialPut
from cli.check_store.scratch_buckets import PARTS, ScratchBuckets
from cli.check_store.store import refusal

_SETTLE_SECONDS = 2.0  # until a store has noticed that a connection is closed
_METADATA = {"input-sha256": "e3b0c442"}
_HEADERS = 80  # with those of every response still below 100: boto3 refuses more
_MAX_METADATA = 2048  # bytes (S3 API reference)


def _unlisted(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    with PartialPut(scratch, bucket, key) as upload:
        time.sleep(0.5)  # until the store has received the first half
        seen = key in scratch.list_keys(bucket)
        if refused := upload.finish():
            return refused
    return NO if seen else yes_if(key in scratch.list_keys(bucket))


def _broken_off(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    with PartialPut(scratch, bucket, key):
        time.sleep(0.5)
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        if key in scratch.list_keys(bucket):
            return NO
        time.sleep(0.2)
    return YES


def _replaced_whole(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    scratch.put(bucket, key, b"old")
    with PartialPut(scratch, bucket, key) as upload:
        time.sleep(0.5)
        old = scratch.get(bucket, key) == b"old"
        if refused := upload.finish():
            return refused
    return yes_if(old)


def _empty(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    scratch.put(bucket, key, b"")
    return yes_if(scratch.get(bucket, key) == b"")


def _parts(scratch: ScratchBuckets) -> str:
    key = scratch.key()
    scratch.put_multipart(key)
    return yes_if(scratch.get(scratch.bucket("plain"), key) == b"".join(PARTS))


def _small_parts(scratch: ScratchBuckets) -> str:
    answer = refusal(scratch.put_multipart, key=scratch.key(), parts=(b"a", b"b"))
    return yes_if(answer.startswith("400"))


def _range(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    scratch.put(bucket, key, b"picture")
    answer = scratch.s3.get_object(Bucket=bucket, Key=key, Range="bytes=2-4")
    return yes_if(answer["Body"].read() == b"ctu")


def _kept(scratch: ScratchBuckets, **headers: object) -> dict[str, object]:
    where = {"Bucket": scratch.bucket("plain"), "Key": scratch.key()}
    scratch.s3.put_object(**where, Body=b"picture", **headers)
    answer: dict[str, object] = scratch.s3.head_object(**where)
    return answer


def _content_type(scratch: ScratchBuckets) -> str:
    return yes_if(_kept(scratch, ContentType="image/webp")["ContentType"] == "image/webp")


def _metadata(scratch: ScratchBuckets) -> str:
    kept = _kept(scratch, Metadata=_METADATA)["Metadata"]
    if kept == _METADATA:
        return YES
    lowered = isinstance(kept, dict) and {name.lower(): kept[name] for name in kept} == _METADATA
    return "capitalised" if lowered else NO


def _much_metadata(scratch: ScratchBuckets) -> str:
    metadata = {"name": "x" * (_MAX_METADATA - len("name"))}
    kept = _kept(scratch, Metadata=metadata)["Metadata"]
    return yes_if(isinstance(kept, dict) and list(kept.values()) == list(metadata.values()))


def _many_headers(scratch: ScratchBuckets) -> str:
    metadata = {f"n{number:02}": "x" for number in range(_HEADERS)}
    kept = _kept(scratch, Metadata=metadata)["Metadata"]
    return yes_if(isinstance(kept, dict) and len(kept) == len(metadata))


CHECKS = (
    Check(
        "unseen",
        "A PUT in progress is not listed",
        _unlisted,
        Consequence(
            Severity.DATA_LOSS,
            "A slow upload is listed in part, and quarantined as damaged: send it under a name "
            "that ends in '/', or through a gateway that waits.",
        ),
    ),
    Check(
        "broken-off",
        "An interrupted PUT leaves nothing",
        _broken_off,
        Consequence(Severity.DATA_LOSS, "Half a photo stays, and is quarantined as damaged."),
    ),
    Check(
        "replaced-whole",
        "During a PUT the object that it replaces can be read",
        _replaced_whole,
        Consequence(Severity.NOTE, "A result fetched at that moment has to be fetched again."),
    ),
    Check(
        "empty",
        "Objects can be empty",
        _empty,
        Consequence(Severity.NOTE, "Empty files cannot be sent; they are no photos."),
    ),
    Check(
        "parts",
        "A multipart upload is stored whole",
        _parts,
        Consequence(
            Severity.NOTE, "S3 clients cannot send files of 8 MB and more; './pipeline put' can."
        ),
    ),
    Check(
        "small-parts",
        "A part below 5 MiB, except the last, is refused",
        _small_parts,
        Consequence(Severity.NOTE, "Nothing is lost: the store accepts more than it must."),
    ),
    Check(
        "range",
        "A GET with Range returns just those bytes",
        _range,
        Consequence(
            Severity.NOTE, "S3 clients fetch large results slowly, or not; './pipeline get' does."
        ),
    ),
    Check(
        "content-type",
        "The content type is kept",
        _content_type,
        Consequence(Severity.NOTE, "Browsers save results instead of showing them."),
    ),
    Check(
        "metadata",
        "Metadata names are returned in lower case, as they were sent",
        _metadata,
        Consequence(Severity.NOTE, "Compare metadata names (input-sha256) case-insensitively."),
    ),
    Check(
        "much-metadata",
        "2 KB of metadata are kept",
        _much_metadata,
        Consequence(Severity.NOTE, "Nothing is lost: the worker stores at most 1,500 bytes."),
    ),
    Check(
        "many-headers",
        "80 names of metadata are kept",
        _many_headers,
        Consequence(Severity.NOTE, "Nothing is lost: the worker stores fewer than 30."),
    ),
)
