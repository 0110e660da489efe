"""Object keys: which ones the store accepts and returns unchanged."""

import unicodedata
from collections.abc import Callable, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from cli.check_store.check import YES, Check, Consequence, Severity, yes_if
from cli.check_store.scratch_buckets import ScratchBuckets
from cli.check_store.store import describe

_MAX_KEY = 1024  # bytes of UTF-8 (S3 API reference)


def _kept(keys: Sequence[str], purpose: str = "names") -> Callable[[ScratchBuckets], str]:
    """Return a check that puts each key, lists it under the same name, reads and deletes it."""

    def run(scratch: ScratchBuckets) -> str:
        bucket = scratch.bucket(purpose)
        problems = {key: _problem(scratch, bucket, key) for key in keys}
        failed = {key: problem for key, problem in problems.items() if problem}
        if not failed:
            together = _together(scratch, bucket, keys)
            return YES if together == sorted(keys) else "not side by side"
        if len(failed) == len(keys):
            return next(iter(failed.values()))
        return "not " + ", ".join(key.encode("unicode_escape").decode() for key in failed)

    return run


def _problem(scratch: ScratchBuckets, bucket: str, key: str) -> str:
    """Return what goes wrong with a key, "" for nothing."""
    body = key.encode()
    try:
        scratch.put(bucket, key, body)
        if key not in (names := scratch.list_keys(bucket)):
            return "under another name" if names else "not listed"
        if scratch.get(bucket, key) != body:
            return "different bytes"
        scratch.s3.delete_object(Bucket=bucket, Key=key)
        return "not deleted" if key in scratch.list_keys(bucket) else ""
    except ClientError as error:
        return describe(error)
    except BotoCoreError:  # the store closed the connection
        return "no answer"
    finally:
        _empty(scratch, bucket)


def _together(scratch: ScratchBuckets, bucket: str, keys: Sequence[str]) -> list[str]:
    try:
        for key in keys:
            scratch.put(bucket, key, key.encode())
        whole = all(scratch.get(bucket, key) == key.encode() for key in keys)
        return sorted(scratch.list_keys(bucket)) if whole else []
    except (ClientError, BotoCoreError):
        return []
    finally:
        _empty(scratch, bucket)


def _empty(scratch: ScratchBuckets, bucket: str) -> None:
    for key in scratch.list_keys(bucket):
        scratch.s3.delete_object(Bucket=bucket, Key=key)


def _too_long(scratch: ScratchBuckets) -> str:
    problem = _problem(scratch, scratch.bucket("names"), "x" * (_MAX_KEY + 1))
    return "accepted" if not problem else yes_if(problem.startswith("400"))


def _no_marker(scratch: ScratchBuckets) -> str:
    """Check that folders exist only as parts of keys, without an object."""
    bucket = scratch.bucket("names")
    scratch.put(bucket, "folder/x.jpg")
    alone = scratch.list_keys(bucket) == ["folder/x.jpg"]
    scratch.s3.delete_object(Bucket=bucket, Key="folder/x.jpg")
    return yes_if(alone and scratch.list_keys(bucket) == [])


def _unusable(names: str) -> Consequence:
    return Consequence(Severity.NOTE, f"{names} cannot be sent: rename the files first.")


CHECKS = (
    Check(
        "key-words",
        "Keys with spaces, +, %, &, quotes, #, ? and ; are kept",
        _kept(["two words.jpg", "a+b%20c%.jpg", "'q' \"d\" <&>.jpg", "#?;=,.jpg", "(1) [2].jpg"]),
        Consequence(Severity.BROKEN, "Files with such common names cannot be sent."),
    ),
    Check(
        "key-alphabets",
        "Keys with non-Latin letters are kept",
        _kept(["naïve.jpg", "猫.jpg", "🐈.jpg", "\u202e.jpg"]),
        Consequence(Severity.BROKEN, "Files with such common names cannot be sent."),
    ),
    Check(
        "key-forms",
        "Composed and decomposed accents are two keys",
        _kept([unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]),
        Consequence(Severity.DATA_LOSS, "Of two photos with such names one replaces the other."),
    ),
    Check(
        "key-case",
        "Keys differ by case",
        _kept(["x.jpg", "X.JPG"]),
        Consequence(Severity.DATA_LOSS, "Of two photos with such names one replaces the other."),
    ),
    Check(
        "key-nested",
        "A key can be the folder of another (a and a/b)",
        _kept(["a", "a/b.jpg"]),
        _unusable("Files of which one is named as the folder of another"),
    ),
    Check(
        "key-slashes",
        "Keys with leading and double slashes are kept",
        _kept(["/x.jpg", "//x.jpg", "a//x.jpg"]),
        _unusable("Keys with leading or double slashes"),
    ),
    Check(
        "key-dots",
        "Keys with the parts . and .. are kept",
        _kept(["../x.jpg", "./x.jpg", "a/../x.jpg", "a/./x.jpg"]),
        _unusable("Keys with the parts '.' or '..'"),
    ),
    Check(
        "key-backslash",
        "Keys with backslashes are kept",
        _kept(["a\\b.jpg"]),
        _unusable("Files with backslashes in their names"),
    ),
    Check(
        "key-control",
        "Keys with tabs and line ends are kept",
        _kept(["a\tb.jpg", "a\nb.jpg", "a\rb.jpg"]),
        _unusable("Files with tabs or line ends in their names"),
    ),
    Check(
        "key-long",
        "Keys of 1,024 bytes are kept",
        # In a separate bucket: rclone still lists keys that it has refused.
        _kept(["ä" * (_MAX_KEY // 2)], "long"),
        _unusable("Keys of up to 1,024 bytes (with parts over 255 bytes)"),
    ),
    Check(
        "key-too-long",
        "Keys of more than 1,024 bytes are refused",
        _too_long,
        Consequence(
            Severity.NOTE, "Nothing is lost: the worker quarantines keys that are too long."
        ),
    ),
    Check(
        "key-folder",
        "A folder marker (a key that ends in /) is an ordinary object",
        _kept(["folder/"]),
        Consequence(Severity.NOTE, "Empty folders that a web console creates may disappear."),
    ),
    Check(
        "key-no-marker",
        "No folder markers appear by themselves",
        _no_marker,
        Consequence(Severity.NOTE, "Folders stay after their last photo; the worker skips them."),
    ),
)
