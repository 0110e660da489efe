"""Access control: who can read and change what."""

import secrets
from collections.abc import Callable

from cli.check_store.check import (
    NO,
    OTHER_OWNER,
    YES,
    Check,
    Consequence,
    Results,
    Severity,
    yes_if,
)
from cli.check_store.credentials import Credentials
from cli.check_store.scratch_buckets import PREFIX, ScratchBuckets
from cli.check_store.store import refusal

_REFUSED = "4"  # any status of 4xx
_FORBIDDEN, _NOT_FOUND, _CONFLICT = "403", "404", "409"
_ALLOWED = "no: can "
_OURS_ALREADY = "409 BucketAlreadyOwnedByYou"


def _again(scratch: ScratchBuckets) -> str:
    answer = refusal(scratch.store.create_bucket, client=scratch.s3, bucket=scratch.bucket("plain"))
    return YES if answer in ("", _OURS_ALREADY) else answer


def _head_absent(scratch: ScratchBuckets) -> str:
    answer = refusal(scratch.s3.head_bucket, Bucket=PREFIX + secrets.token_hex(8))
    return answer if answer and not answer.startswith(_NOT_FOUND) else yes_if(bool(answer))


def _stranger(scratch: ScratchBuckets, credentials: Credentials | None) -> str:
    """Check that a client with these credentials is refused everything."""
    bucket, key, client = scratch.bucket("plain"), scratch.key(), scratch.store.client(credentials)
    scratch.put(bucket, key)
    where = {"Bucket": bucket, "Key": key}
    tried = {
        "list": refusal(client.list_objects_v2, Bucket=bucket),
        "read": refusal(client.get_object, **where),
        "write": refusal(client.put_object, **where, Body=b"another"),
        "delete": refusal(client.delete_object, **where),
    }
    if allowed := [what for what, answer in tried.items() if not answer]:
        return f"{_ALLOWED}{', '.join(allowed)}"
    others = (f"{k}: {v}" for k, v in tried.items() if not v.startswith(_REFUSED))
    return next(others, YES)


def _wrong_secret(scratch: ScratchBuckets) -> str:
    return _stranger(scratch, Credentials(scratch.store.credentials.access, secrets.token_hex(20)))


def _anonymous(scratch: ScratchBuckets) -> str:
    return _stranger(scratch, None)


def _others_objects(scratch: ScratchBuckets) -> str:
    return _stranger(scratch, scratch.store.other)


def _others_name(scratch: ScratchBuckets) -> str:
    if scratch.other is None:
        return NO
    answer = refusal(
        scratch.store.create_bucket, client=scratch.other, bucket=scratch.bucket("plain")
    )
    return answer if answer and not answer.startswith(_CONFLICT) else yes_if(bool(answer))


def _others_head(scratch: ScratchBuckets) -> str:
    if scratch.other is None:
        return NO
    answer = refusal(scratch.other.head_bucket, Bucket=scratch.bucket("plain"))
    return answer if answer and not answer.startswith(_FORBIDDEN) else yes_if(bool(answer))


def _is_open(name: str) -> Callable[[Results], bool]:
    """Return whether a check's result is that a stranger may do something."""
    return lambda results: results[name].startswith(_ALLOWED)


_UNCLEAR = Consequence(
    Severity.BROKEN,
    "The store neither gives a stranger what was asked for nor refuses it: check again, since "
    "it may have an error of its own.",
)
_OPEN = "Whoever reaches the store can read, replace and delete photos"
CHECKS = (
    Check(
        "wrong-secret",
        "A wrong secret key is refused",
        _wrong_secret,
        Consequence(
            Severity.DATA_LOSS,
            f"{_OPEN}: run it where only you can reach it.",
            _is_open("wrong-secret"),
        ),
        otherwise=_UNCLEAR,
    ),
    Check(
        "anonymous",
        "A request without keys is refused",
        _anonymous,
        Consequence(
            Severity.DATA_LOSS,
            "Whoever reaches the store can get photos, or their names, without any key: run it "
            "where only you can reach it.",
            _is_open("anonymous"),
        ),
        otherwise=_UNCLEAR,
    ),
    Check(
        "others-objects",
        "Another owner cannot list, read, replace or delete our objects",
        _others_objects,
        Consequence(
            Severity.DATA_LOSS,
            "Everyone with keys to the store can read and change all photos.",
            _is_open("others-objects"),
        ),
        OTHER_OWNER,
        _UNCLEAR,
    ),
    Check(
        "others-name",
        "Creating a bucket that another owner has is refused with 409",
        _others_name,
        Consequence(
            Severity.DATA_LOSS,
            "Two owners share a bucket: choose unique bucket names.",
        ),
        OTHER_OWNER,
    ),
    Check(
        "others-head",
        "HEAD of another owner's bucket returns 403",
        _others_head,
        Consequence(
            Severity.DATA_LOSS,
            "Another owner's bucket is mistaken for ours or for a free name: choose unique bucket "
            "names.",
        ),
        OTHER_OWNER,
    ),
    Check(
        "absent-bucket",
        "HEAD of a missing bucket returns 404",
        _head_absent,
        Consequence(Severity.BROKEN, "'./pipeline up' cannot see whether a bucket's name is free."),
    ),
    Check(
        "own-bucket-again",
        "Creating one's own bucket again succeeds, or is refused with 409",
        _again,
        Consequence(
            Severity.NOTE, "Nothing is lost: the program checks first whether a bucket exists."
        ),
    ),
)
