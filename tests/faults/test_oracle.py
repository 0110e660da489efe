"""The oracle notices what must never happen; otherwise the tests of faults would prove nothing."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from bench.oracle import Oracle, Row, Rules, StoredResult, Uploads, sha256
from worker.jobs.quarantine import note_key, storage_key

GOOD, BAD = b"good", b"bad"
KEPT = storage_key("first", "b.png", sha256(BAD))
ORACLE = Oracle(
    {
        "first": Rules(
            "input",
            "output",
            lambda content: "^no picture$" if content == BAD else None,
            lambda results, content: all(one == content[::-1] for one in results),
        )
    },
    "quarantine",
)


@dataclass
class Found:
    """Implements `Evidence`: one good upload is done, a bad one is quarantined."""

    rows: Sequence[Row] = (
        Row(
            "first", "1", "a.png", "v1", sha256(GOOD), "done",
            results=[StoredResult(1, "output", "a.png", "", sha256(GOOD[::-1]))],
        ),
        Row("first", "2", "b.png", "v2", sha256(BAD), "quarantined", "no picture"),
    )  # fmt: skip
    prepared: Sequence[Row] = ()
    leftovers: Mapping[str, int] = field(default_factory=dict)
    stored: Sequence[tuple[str, str]] = (("a.png", ""),)
    objects: dict[tuple[str, str], bytes] = field(
        default_factory=lambda: {
            ("output", "a.png"): GOOD[::-1],
            ("quarantine", KEPT): BAD,
            ("quarantine", note_key(KEPT)): b'{"reason": "no picture"}',
        }
    )

    def keys(self, bucket: str) -> Sequence[str]:
        return [key for place, key in self.objects if place == bucket]

    def content(self, bucket: str, key: str, version_id: str = "") -> bytes | None:
        return self.objects.get((bucket, key))

    def versions(self, bucket: str) -> Collection[tuple[str, str]]:
        return self.stored if bucket == "output" else ()


def problems(found: Found) -> list[str]:
    uploads = Uploads()
    uploads.put("first", "a.png", GOOD, "v1")
    uploads.put("first", "b.png", BAD, "v2")
    return ORACLE.problems(uploads, found)


def test_exact_accounting_has_no_problems() -> None:
    assert problems(Found()) == []


def put(bucket: str, key: str, content: bytes) -> Callable[[Found], Found]:
    return lambda found: replace(found, objects=found.objects | {(bucket, key): content})


def rows(change: Callable[[Sequence[Row]], Sequence[Row]]) -> Callable[[Found], Found]:
    return lambda found: replace(found, rows=change(found.rows))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (put("input", "a.png", GOOD), "left in the input bucket"),
        (put("output", "a.png", b"other"), "is not the newest upload's result"),
        (put("output", "more.png", b"other"), "belong to no job"),
        (lambda found: replace(found, stored=[("a.png", "older")]), "versions"),
        (put("quarantine", KEPT, b"other"), "does not hold the upload"),
        (put("quarantine", "more", b"other"), "belongs to no job"),
        (put("quarantine", note_key(KEPT), b'{"reason": "?"}'), "another reason than the row"),
        (rows(lambda all_rows: all_rows[1:]), "0 jobs for the 1 uploads"),
        (rows(lambda all_rows: [*all_rows, all_rows[0]]), "2 jobs for the 1 uploads"),
        (rows(lambda all_rows: [*all_rows, replace(all_rows[0], key="?")]), "for no upload"),
        (
            rows(lambda all_rows: [all_rows[0], replace(all_rows[1], reason="it crashed")]),
            "expected '^no picture$'",
        ),
        (lambda found: replace(found, leftovers={"attempts": 1}), "left in attempts"),
    ],
)
def test_problems_are_noticed(spoil: Callable[[Found], Found], problem: str) -> None:
    assert any(problem in one for one in problems(spoil(Found())))
