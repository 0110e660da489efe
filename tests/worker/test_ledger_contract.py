"""What `worker.ledger.ledger.Ledger` promises, checked on its twin in memory and on PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.worker.pipeline import Pipeline
from worker import settings
from worker.ledger.ledger import Ledger, LogFilter, Result
from worker.ledger.memory_ledger import MemoryLedger
from worker.ledger.postgres_ledger import open_ledger
from worker.uploads.upload import Upload

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CAT = Upload("input", "cat.png", "v1", "e", START)
DOG = Upload("input", "dog.png", "", "e", START)
HASHES = ("a" * 64, 7)


def done(upload: Upload, **changes: object) -> Result:
    output = f"negated_{upload.key}"
    result = Result(upload, *HASHES, "done", 0.5, output, "b" * 64, 8)
    return replace(result, **changes)  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "PostgreSQL"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger("vm-1")
        return
    pipeline: Pipeline = request.getfixturevalue("versioned")
    with open_ledger(settings.load(pipeline.settings, {}, ())) as opened:
        yield opened


def test_attempts_are_found_until_they_are_cleared(ledger: Ledger) -> None:
    ledger.start_attempts([CAT, DOG], alone=False)
    assert ledger.unfinished_attempts("input") == {CAT: 0, DOG: 0}
    assert ledger.unfinished_attempts("another") == {}
    ledger.clear_attempts([CAT])
    ledger.clear_attempts([])
    assert ledger.unfinished_attempts("input") == {DOG: 0}


def test_only_attempts_alone_count_as_crashes(ledger: Ledger) -> None:
    ledger.start_attempts([CAT], alone=True)
    ledger.start_attempts([CAT], alone=False)
    ledger.start_attempts([CAT], alone=True)
    assert ledger.unfinished_attempts("input") == {CAT: 2}
    for crashes in (1, 0, 0):
        ledger.uncount_crash(CAT)
        assert ledger.unfinished_attempts("input") == {CAT: crashes}
    ledger.uncount_crash(DOG)  # was never started


@pytest.mark.parametrize(
    "change",
    [
        {"key": "Cat.png"},
        {"version_id": "v2"},
        {"etag": "f"},
        {"last_modified": START + timedelta(seconds=1)},
    ],
)
def test_uploads_differ_by_each_part_of_their_identity(
    ledger: Ledger, change: dict[str, object]
) -> None:
    other = replace(CAT, **change)  # type: ignore[arg-type]
    ledger.start_attempts([CAT], alone=True)
    ledger.clear_attempts([other])
    ledger.record([done(other)])
    assert ledger.unfinished_attempts("input") == {CAT: 1}


def test_the_size_is_no_part_of_the_identity(ledger: Ledger) -> None:
    ledger.start_attempts([CAT], alone=True)
    ledger.clear_attempts([replace(CAT, size=9)])
    assert ledger.unfinished_attempts("input") == {}


def test_a_result_ends_its_attempt(ledger: Ledger) -> None:
    ledger.start_attempts([CAT, DOG], alone=True)
    ledger.record([done(CAT)])
    ledger.record([])
    assert ledger.unfinished_attempts("input") == {DOG: 1}


def test_the_same_upload_again_updates_its_row(ledger: Ledger) -> None:
    ledger.record([done(CAT), done(DOG)])
    quarantined = Result(CAT, *HASHES, "quarantined", 0.1, reason="not an image")
    ledger.record([done(CAT), quarantined])
    rows = {row["input_key"]: row for row in ledger.log(LogFilter())}
    assert len(list(ledger.log(LogFilter()))) == 2
    cat = rows["cat.png"]
    assert (cat["outcome"], cat["reason"]) == ("quarantined", "not an image")
    assert (cat["output_key"], cat["output_sha256"]) == (None, None)
    assert (cat["input_sha256"], cat["seconds"], cat["worker"]) == ("a" * 64, 0.1, "vm-1")
    assert datetime.fromisoformat(cat["timestamp"]) <= datetime.now(UTC)


def test_log_filters(ledger: Ledger) -> None:
    before = datetime.now(UTC) - timedelta(hours=1)
    for number in range(4):
        upload = replace(CAT, key=f"{number}.png")
        bad = Result(upload, *HASHES, "quarantined", 0, reason="bad")
        ledger.record([bad if number == 2 else done(upload)])

    def keys(log_filter: LogFilter) -> list[str]:
        return [row["input_key"] for row in ledger.log(log_filter)]

    assert keys(LogFilter()) == ["0.png", "1.png", "2.png", "3.png"]
    assert keys(LogFilter(last=2)) == ["2.png", "3.png"]
    assert keys(LogFilter(like="1.")) == ["1.png"]
    assert keys(LogFilter(like="negated_")) == ["0.png", "1.png", "3.png"]
    assert keys(LogFilter(like="%")) == []
    assert keys(LogFilter(quarantined=True)) == ["2.png"]
    assert len(keys(LogFilter(since=before))) == 4
    assert keys(LogFilter(since=before + timedelta(hours=2))) == []


def test_heartbeats_and_totals(ledger: Ledger) -> None:
    empty = {"done": 0, "quarantined": 0, "rate": 0, "last_error": None}
    assert (ledger.machines(), ledger.totals()) == ([], empty)
    ledger.heartbeat("no disk")
    assert ledger.totals() == empty | {"last_error": "no disk"}
    ledger.heartbeat(None)
    (machine,) = ledger.machines()
    assert (machine["machine"], machine["obstacle"]) == ("vm-1", None)
    assert machine["last_pass"].endswith("Z")
    ledger.record([done(CAT), Result(DOG, *HASHES, "quarantined", 0, reason="bad")])
    assert ledger.totals() == {
        "done": 1,
        "quarantined": 1,
        "rate": 0.2,
        "last_error": "dog.png: bad",
    }
