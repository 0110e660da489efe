"""How due works are divided among machines."""

from datetime import UTC, datetime

from worker.jobs.bundling import Due, bundles
from worker.jobs.work_queue import BATCH_BYTES
from worker.ledger.ledger import Attempt
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

START = datetime(2026, 1, 1, tzinfo=UTC)


def due(key: str, *sizes: int, withdrawn: int = 0, gathered: int = 0, tried: bool = False) -> Due:
    made = [Upload("input", key, f"v{n}", "e", START, size) for n, size in enumerate(sizes)]
    work = KeyUploads(key, made[:withdrawn], made[withdrawn:], gathered)
    return Due(work, {made[-1]: Attempt(problem="busy", failures=1)} if tried else {})


def keys(*works: Due, threads: int = 1, limit: int = 8) -> list[list[str]]:
    return [[work.key for work in one.works] for one in bundles(works, threads, limit)]


def test_all_threads_get_something() -> None:
    assert keys(*(due(str(number), 1) for number in range(4)), threads=12) == [
        [*"0"],
        [*"1"],
        [*"2"],
        [*"3"],
    ]


def test_bundles_become_smaller_towards_the_end() -> None:
    sizes = [len(one) for one in keys(*(due(str(number), 1) for number in range(200)), threads=4)]
    assert sizes[:15] == [8] * 15
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-4:] == [1] * 4
    assert sum(sizes) == 200


def test_what_follows_counts_as_left() -> None:
    """Only the end of a listing is divided among all threads."""
    works = [due(str(number), 1) for number in range(16)]
    assert [len(one.works) for one in bundles(works, 12, 8, following=1000)] == [8, 8]
    assert len(list(bundles(works, 12, 8))) > 8


def test_order_is_kept_and_no_bundle_is_large() -> None:
    half = BATCH_BYTES // 2
    works = [due("a", half), due("b", half), due("c", 1), *(due(f"d{n}", 1) for n in range(20))]
    made = keys(*works)
    assert made[:2] == [["a", "b"], ["c", *(f"d{n}" for n in range(7))]]
    assert [key for one in made for key in one] == [one.work.key for one in works]


def test_several_versions_and_what_was_tried_have_bundles_of_their_own() -> None:
    filler = [due(f"z{n}", 1) for n in range(20)]
    works = [due("a", 1), due("b", 1, 1), due("c", 1, tried=True), due("d", 1), *filler]
    assert keys(*works)[:4] == [["a"], ["b"], ["c"], ["d", *(f"z{n}" for n in range(7))]]
    (bundle,) = bundles([due("c", 1, tried=True)], 1, 8)
    assert [attempt.failures for attempt in bundle.attempts.values()] == [1]


def test_withdrawn_versions_go_together() -> None:
    works = [due(f"{number}", 1, withdrawn=1) for number in range(16)]
    assert len(keys(*works)[0]) == 8


def test_large_works() -> None:
    assert not due("x", BATCH_BYTES).is_slow
    assert due("x", BATCH_BYTES + 1).is_slow
    assert due("x", 1, gathered=BATCH_BYTES).is_slow
