"""Conditional requests: the store itself looks whether an object is still what we know."""

from typing import Any

from cli.check_store.fact import NO, YES, Answers, Fact, Loss, Weight, holds
from cli.check_store.facts import versions
from cli.check_store.ground import Ground
from cli.check_store.store import refusal

IGNORED = "ignored"
_CHANGED = "412"
_SAME = "304"


def _replaced(ground: Ground) -> tuple[dict[str, Any], str, str]:
    """An object that was replaced: where it is, its former and its present ETag."""
    where = {"Bucket": ground.bucket("plain"), "Key": ground.key()}
    former = str(ground.put(where["Bucket"], where["Key"], b"former")["ETag"])
    present = str(ground.put(where["Bucket"], where["Key"], b"present")["ETag"])
    return where, former, present


def _refused(answer: str, status: str) -> str:
    if not answer:
        return IGNORED
    return YES if answer.startswith(status) else answer


def _get_if_match(ground: Ground) -> str:
    where, former, present = _replaced(ground)
    ground.s3.get_object(**where, IfMatch=present)
    return _refused(refusal(ground.s3.get_object, **where, IfMatch=former), _CHANGED)


def _head_if_match(ground: Ground) -> str:
    where, former, present = _replaced(ground)
    ground.s3.head_object(**where, IfMatch=present)
    return _refused(refusal(ground.s3.head_object, **where, IfMatch=former), _CHANGED)


def _get_if_none_match(ground: Ground) -> str:
    where, former, present = _replaced(ground)
    ground.s3.get_object(**where, IfNoneMatch=former)
    return _refused(refusal(ground.s3.get_object, **where, IfNoneMatch=present), _SAME)


def _delete_if_match(ground: Ground) -> str:
    where, former, present = _replaced(ground)
    answer = _refused(refusal(ground.s3.delete_object, **where, IfMatch=former), _CHANGED)
    if answer != YES:
        return answer
    ground.s3.delete_object(**where, IfMatch=present)
    return holds(where["Key"] not in ground.listed(where["Bucket"]))


def _put_if_none_match(ground: Ground) -> str:
    where, _, _ = _replaced(ground)
    answer = refusal(ground.s3.put_object, **where, Body=b"third", IfNoneMatch="*")
    if answer and ground.get(where["Bucket"], where["Key"]) != b"present":
        return NO
    return _refused(answer, _CHANGED)


def _without_versions(answers: Answers) -> bool:
    return answers.get(versions.NAME) != YES


FACTS = (
    Fact(
        "get-if-match",
        "GET with If-Match of a former ETag is refused",
        _get_if_match,
        Loss(Weight.LESS, "Nothing is lost: a picture replaced meanwhile is read, and left then."),
    ),
    Fact(
        "head-if-match",
        "HEAD with If-Match of a former ETag is refused",
        _head_if_match,
        Loss(Weight.LESS, "Nothing is lost: the worker compares ETags itself."),
    ),
    Fact(
        "get-if-none-match",
        "GET with If-None-Match of the present ETag answers 304",
        _get_if_none_match,
        Loss(Weight.LESS, "Programs that keep copies of results fetch them again and again."),
    ),
    Fact(
        "delete-if-match",
        "DELETE with If-Match of a former ETag is refused",
        _delete_if_match,
        Loss(
            Weight.LOSES,
            "A picture that replaces one of the same name just when the worker deletes that one "
            "(in the one round trip between its HEAD and its DELETE) goes with it.",
            _without_versions,
        ),
        otherwise=Loss(
            Weight.LESS,
            "In an input bucket without versions (one of yours that was adopted) a picture that "
            "replaces one of the same name in the one round trip between the worker's HEAD and its "
            "DELETE goes with it.",
        ),
    ),
    Fact(
        "put-if-none-match",
        "PUT with If-None-Match: * leaves an object that is there",
        _put_if_none_match,
        Loss(Weight.LESS, "Two senders of one name cannot notice that the later one replaces."),
    ),
)
