"""What happens to an upload after it was recorded, and before it has its content."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import patience
from tests.worker.world import INPUT, Transforms, World
from worker.errors import ServiceUnavailable, UploadDeferred
from worker.ledger.memory_ledger import MemoryLedger
from worker.store.memory_store import MemoryStore
from worker.store.store import ObjectInfo, Version
from worker.uploads.listing import ListPage

GRACE = 0.3


class TimedStore(MemoryStore):
    """A store that notes when it was listed, what was read, and what was deleted together when."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.listed: list[float] = []
        self.deleted: list[tuple[float, list[Version]]] = []
        self.at_deletion: Callable[[], None] = lambda: None
        self.keys_read: list[str] = []

    def read(
        self, bucket: str, key: str, version_id: str, etag: str, size: int
    ) -> tuple[ObjectInfo, str, bytes]:
        self.keys_read.append(key)
        return super().read(bucket, key, version_id, etag, size)

    def list_pages(self, bucket: str, *, versions: bool, prefix: str = "") -> Iterator[ListPage]:
        if bucket == INPUT:
            self.listed.append(time.monotonic())
        return super().list_pages(bucket, versions=versions, prefix=prefix)

    def delete_versions(
        self, bucket: str, versions: Sequence[Version]
    ) -> dict[Version, UploadDeferred]:
        self.deleted.append((time.monotonic(), list(versions)))
        self.at_deletion()
        return super().delete_versions(bucket, versions)

    def delete_if_unchanged(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        self.deleted.append((time.monotonic(), [(key, version_id)]))
        super().delete_if_unchanged(bucket, key, version_id, etag)


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made = World(tmp_path, request.param)
    made.use(TimedStore)
    made.schedule = replace(made.schedule, grace=GRACE)
    return made


@pytest.fixture
def versioned(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.use(TimedStore)
    made.schedule = replace(made.schedule, grace=GRACE)
    return made


def timed(world: World) -> TimedStore:
    assert isinstance(world.store, TimedStore)
    return world.store


def test_an_upload_stays_for_its_grace_after_it_was_recorded(world: World) -> None:
    """Clients look at what they have just uploaded."""
    recorded: list[tuple[float, bool]] = []

    class Watched(MemoryLedger):
        def record(self, results: Any) -> set[str]:
            recorded.extend((time.monotonic(), "x.png" in world.left()) for _ in results)
            return super().record(results)

    world.upload("x.png")
    world.new_pass(ledger=Watched("vm-1", "negatives", world.tables)).run()
    ((moment, _),) = timed(world).deleted
    assert moment - timed(world).listed[0] >= GRACE
    assert [there for _, there in recorded] == [True]
    assert recorded[0][0] < moment
    assert world.outcomes() == {"x.png": "done"}
    assert world.left() == []
    assert world.tables.leases == {}


def stand_still(monkeypatch: pytest.MonkeyPatch, until: Callable[[], bool]) -> None:
    """Let no time pass for a pass until something holds, on a slow computer too."""
    clock, begun = time.monotonic, time.monotonic()
    moved: list[float] = []

    def now() -> float:
        if not moved and (until() or clock() - begun > 120 * patience()):
            moved.append(clock())
        return begun + clock() - moved[0] if moved else begun

    monkeypatch.setattr(time, "monotonic", now)


def test_uploads_of_several_batches_are_deleted_together(
    versioned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        versioned.upload(f"{number}.png")
    # Long enough that the last upload is noted before the first deletion is due.
    versioned.schedule = replace(versioned.schedule, grace=3)
    stand_still(monkeypatch, lambda: len(versioned.ledger.results) == 30)
    versioned.run(threads=4)
    ((_, together),) = timed(versioned).deleted
    assert len(together) == 30


def test_a_newer_upload_of_the_key_does_not_wait_for_the_grace(
    versioned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease replaces the older one's; both uploads are deleted, its result is the last."""
    versioned.schedule = replace(versioned.schedule, pause=(0, 0))
    stand_still(monkeypatch, lambda: len(versioned.ledger.results) == 2)
    rows_at_deletion: list[int] = []
    timed(versioned).at_deletion = lambda: rows_at_deletion.append(len(versioned.ledger.results))

    def again() -> None:
        versioned.upload("x.png", b"newer")

    versioned.transforms = Transforms({b"older": again})
    versioned.upload("x.png", b"older")
    versioned.run()
    assert rows_at_deletion[0] == 2
    assert versioned.outputs() == {"negated_x.png": b"rewen"}
    assert versioned.left() == []
    assert versioned.tables.leases == {}
    fences = [result.fence for result in versioned.ledger.results]
    assert fences == sorted(set(fences))


def test_a_replaced_upload_is_not_deleted(world: World) -> None:
    """The user uploads again during the grace."""
    newer = iter([b"newer"])

    class Watched(MemoryLedger):
        def record(self, results: Any) -> set[str]:
            recorded = super().record(results)
            for content in newer:
                world.upload("x.png", content)
            return recorded

    world.upload("x.png", b"older")
    world.new_pass(ledger=Watched("vm-1", "negatives", world.tables)).run()
    assert world.transforms.inputs == [b"older", b"newer"]
    assert len(world.ledger.results) == 2
    assert world.outputs() == {"negated_x.png": b"rewen"}
    assert world.left() == []


@pytest.mark.parametrize("content", [b"content", b""], ids=["content", "still empty"])
def test_an_empty_object_waits_for_its_content(versioned: World, content: bytes) -> None:
    """s3fs creates an object empty, and writes its content afterwards."""
    versioned.schedule = replace(versioned.schedule, empty=3600)
    versioned.store = TimedStore(
        ["input", "output", "quarantine"], versioned=[INPUT], clock=lambda: datetime.now(UTC)
    )
    versioned.upload("x.png", b"")
    versioned.run()
    assert versioned.ledger.results == []
    assert versioned.left() == ["x.png"]
    if content:
        versioned.upload("x.png", content)
        versioned.run()
    else:
        versioned.schedule = replace(versioned.schedule, empty=1)
        versioned.run_until(lambda: not versioned.left())
    assert versioned.transforms.inputs == [content]
    assert len(versioned.ledger.results) == 1
    assert versioned.left() == []


def test_an_empty_object_that_was_listed_before_its_content_goes_without_a_row(
    versioned: World,
) -> None:
    versioned.store = TimedStore(
        ["input", "output", "quarantine"], versioned=[INPUT], clock=lambda: datetime.now(UTC)
    )

    def write() -> None:
        versioned.upload("x.png", b"content")

    versioned.transforms = Transforms({b"other": write})
    versioned.upload("x.png", b"")
    versioned.upload("y.png", b"other")
    versioned.run()
    assert sorted(versioned.outcomes()) == ["x.png", "y.png"]
    assert versioned.transforms.inputs == [b"other", b"content"]
    assert len(versioned.ledger.results) == 2
    assert versioned.left() == []


def test_an_empty_object_that_was_replaced_and_cannot_be_deleted_now_is_tried_once(
    versioned: World,
) -> None:
    class Failing(TimedStore):
        is_failing = True

        def delete_versions(
            self, bucket: str, versions: Sequence[Version]
        ) -> dict[Version, UploadDeferred]:
            if not self.is_failing:
                return super().delete_versions(bucket, versions)
            super().delete_versions(bucket, [])
            return dict.fromkeys(versions, UploadDeferred("It cannot be deleted now."))

    versioned.use(Failing)
    versioned.upload("x.png", b"")
    versioned.upload("x.png", b"content")
    assert versioned.run_failing() == "It cannot be deleted now."
    assert len(timed(versioned).deleted) == 1
    Failing.is_failing = False
    versioned.run()
    assert versioned.transforms.inputs == [b"content"]
    assert versioned.left() == []


# Object Lock.


@pytest.fixture
def locked(versioned: World) -> World:
    versioned.schedule = replace(versioned.schedule, grace=0)
    versioned.upload("x.png", b"locked")
    timed(versioned).lock(INPUT, "x.png")
    versioned.upload("y.png")
    return versioned


def let_hours_pass(world: World) -> None:
    tables = world.tables
    with tables.lock:
        for key, (moment, name, result) in tables.results.items():
            tables.results[key] = (moment - timedelta(hours=2), name, result)
        for place, row in tables.attempts.items():
            assert row.failed_at
            tables.attempts[place] = replace(row, failed_at=row.failed_at - timedelta(hours=2))


def test_a_locked_upload_is_transformed_once(locked: World) -> None:
    for _ in range(3):
        locked.run()
        let_hours_pass(locked)
    assert sorted(locked.transforms.inputs) == [b"locked", b"photo"]
    assert locked.outcomes() == {"x.png": "done", "y.png": "done"}
    assert locked.left() == ["x.png"]
    assert [problem for _, problem in locked.tables.heartbeats.values()] == [None]
    (attempt,) = locked.ledger.unfinished_attempts(INPUT).values()
    assert attempt.is_undeletable
    timed(locked).unlock(INPUT, "x.png")
    locked.run()
    assert locked.left() == []
    assert locked.tables.attempts == {}
    assert len(locked.ledger.results) == 2


def test_a_locked_upload_is_not_read_again_in_the_next_passes(locked: World) -> None:
    locked.run()
    read = list(timed(locked).keys_read)
    locked.run()
    assert timed(locked).keys_read == read
    assert locked.left() == ["x.png"]


def test_newer_uploads_of_a_locked_key_are_processed(locked: World) -> None:
    locked.run()
    locked.upload("x.png", b"newer")
    locked.run()
    assert locked.outputs()["negated_x.png"] == b"rewen"
    assert locked.left() == ["x.png"]


def test_a_locked_upload_that_the_user_withdrew_holds_nothing_up(locked: World) -> None:
    locked.store.delete(INPUT, "x.png")
    locked.upload("x.png", b"newer")
    locked.run()
    assert b"locked" not in locked.transforms.inputs
    assert locked.outputs()["negated_x.png"] == b"rewen"
    versions = locked.store.versions(INPUT)["x.png"]
    assert [one.is_marker for one in versions] == [False, True, False]  # the marker stays as well


def test_a_locked_empty_object_that_was_replaced_is_no_upload(versioned: World) -> None:
    """s3fs on a bucket that locks each version."""
    versioned.schedule = replace(versioned.schedule, grace=0)
    timed(versioned).lock(INPUT, "x.png")
    versioned.upload("x.png", b"")
    versioned.upload("x.png", b"content")
    for _ in range(2):
        versioned.run(linger=0.2)
        let_hours_pass(versioned)
    assert versioned.transforms.inputs == [b"content"]
    assert versioned.outcomes() == {"x.png": "done"}
    assert len(versioned.store.versions(INPUT)["x.png"]) == 2
    timed(versioned).unlock(INPUT, "x.png")
    versioned.run()
    assert versioned.left() == []
    assert len(versioned.ledger.results) == 1


def test_an_interrupted_pass_does_not_forget_which_uploads_are_locked(locked: World) -> None:
    class Interrupted(MemoryLedger):
        def record(self, results: Any) -> set[str]:
            raise ServiceUnavailable("The database failed.")

    locked.run()
    let_hours_pass(locked)
    locked.upload("z.png")
    with pytest.raises(ServiceUnavailable):
        locked.new_pass(1, ledger=Interrupted("vm-1", "negatives", locked.tables)).run()
    let_hours_pass(locked)
    locked.run()
    assert locked.transforms.inputs.count(b"locked") == 1
