"""Conditional requests: the store checks whether an object is still the expected one."""

from typing import Any

from cli.check_store.check import NO, YES, Check, Consequence, Results, Severity, yes_if
from cli.check_store.checks import versions
from cli.check_store.scratch_buckets import ScratchBuckets
from cli.check_store.store import refusal

IGNORED = "ignored"
_PRECONDITION_FAILED = "412"
_NOT_MODIFIED = "304"


def _replaced(scratch: ScratchBuckets) -> tuple[dict[str, Any], str, str]:
    """Replace an object; return its bucket and key, its old and its current ETag."""
    where = {"Bucket": scratch.bucket("plain"), "Key": scratch.key()}
    old = str(scratch.put(where["Bucket"], where["Key"], b"old")["ETag"])
    current = str(scratch.put(where["Bucket"], where["Key"], b"current")["ETag"])
    return where, old, current


def _refused(answer: str, status: str) -> str:
    if not answer:
        return IGNORED
    return YES if answer.startswith(status) else answer


def _get_if_match(scratch: ScratchBuckets) -> str:
    where, old, current = _replaced(scratch)
    scratch.s3.get_object(**where, IfMatch=current)
    return _refused(refusal(scratch.s3.get_object, **where, IfMatch=old), _PRECONDITION_FAILED)


def _head_if_match(scratch: ScratchBuckets) -> str:
    where, old, current = _replaced(scratch)
    scratch.s3.head_object(**where, IfMatch=current)
    return _refused(refusal(scratch.s3.head_object, **where, IfMatch=old), _PRECONDITION_FAILED)


def _get_if_none_match(scratch: ScratchBuckets) -> str:
    where, old, current = _replaced(scratch)
    scratch.s3.get_object(**where, IfNoneMatch=old)
    return _refused(refusal(scratch.s3.get_object, **where, IfNoneMatch=current), _NOT_MODIFIED)


def _delete_if_match(scratch: ScratchBuckets) -> str:
    where, old, current = _replaced(scratch)
    answer = _refused(refusal(scratch.s3.delete_object, **where, IfMatch=old), _PRECONDITION_FAILED)
    if answer != YES:
        return answer
    scratch.s3.delete_object(**where, IfMatch=current)
    return yes_if(where["Key"] not in scratch.list_keys(where["Bucket"]))


def _put_if_none_match(scratch: ScratchBuckets) -> str:
    where, _, _ = _replaced(scratch)
    answer = refusal(scratch.s3.put_object, **where, Body=b"third", IfNoneMatch="*")
    if answer and scratch.get(where["Bucket"], where["Key"]) != b"current":
        return NO
    return _refused(answer, _PRECONDITION_FAILED)


def _without_versions(results: Results) -> bool:
    return results.get(versions.NAME) != YES


CHECKS = (
    Check(
        "get-if-match",
        "GET with If-Match of an old ETag is refused",
        _get_if_match,
        Consequence(
            Severity.NOTE,
            "Nothing is lost: a photo that was replaced is read, then left for the next pass.",
        ),
    ),
    Check(
        "head-if-match",
        "HEAD with If-Match of an old ETag is refused",
        _head_if_match,
        Consequence(Severity.NOTE, "Nothing is lost: the worker compares ETags itself."),
    ),
    Check(
        "get-if-none-match",
        "GET with If-None-Match of the current ETag returns 304",
        _get_if_none_match,
        Consequence(Severity.NOTE, "Programs that cache results fetch them every time."),
    ),
    Check(
        "delete-if-match",
        "DELETE with If-Match of an old ETag is refused",
        _delete_if_match,
        Consequence(
            Severity.DATA_LOSS,
            "A photo that replaces one of the same name between the worker's HEAD and DELETE of "
            "that one (one round trip) is deleted with it.",
            _without_versions,
        ),
        otherwise=Consequence(
            Severity.NOTE,
            "In an input bucket without versions (an adopted one) a photo that replaces one of the "
            "same name between the worker's HEAD and DELETE (one round trip) is deleted with it.",
        ),
    ),
    Check(
        "put-if-none-match",
        "PUT with If-None-Match: * does not replace an object",
        _put_if_none_match,
        Consequence(Severity.NOTE, "A sender does not notice that it replaces another's upload."),
    ),
)
