"""Results that a worker stored under a lease that it had lost: they never stay the latest."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.worker.world import GOOD, INPUT, OUTPUT, Transforms, World, failing
from worker.errors import PassInterrupted, ServiceUnavailable, UploadDeferred
from worker.ledger.memory_ledger import MemoryLedger
from worker.store.memory_store import MemoryStore
from worker.store.store import Stored

KEY = "negated_x.png"
NEWER = b"newer photo"


class Killed(BaseException):
    """The worker was killed."""


class KilledBeforeItsRow(MemoryLedger):
    """The ledger of a worker that is killed when it would learn that its lease is lost."""

    def record(self, results: Any) -> set[str]:
        raise Killed


def overtaken(world: World, ledger: MemoryLedger) -> None:
    """Let a worker store a result after others have recorded the same upload and a newer one."""

    def overtake() -> None:
        for key, (lease, machine, until) in world.tables.leases.items():
            world.tables.leases[key] = (lease, machine, until - timedelta(minutes=1))
        world.transforms = Transforms()
        world.new_pass(ledger=world.ledger_of("negatives", "vm-2")).run()
        world.upload("x.png", NEWER)
        world.new_pass(ledger=world.ledger_of("negatives", "vm-2")).run()

    world.upload("x.png")
    world.transforms = Transforms({GOOD: overtake})
    world.new_pass(1, ledger=ledger).run()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stored(world: World) -> list[bytes]:
    return [version.content for version in world.store.versions(OUTPUT)[KEY]]


def test_a_worker_that_lost_its_lease_removes_what_it_stored(world: World) -> None:
    overtaken(world, world.ledger_of("negatives", "vm-1"))
    assert stored(world) == [NEWER[::-1], GOOD[::-1]]
    assert [one.job.upload.key for one in world.ledger.results] == ["x.png", "x.png"]
    assert world.left() == []


def test_a_worker_that_was_killed_before_it_could_is_swept_after(world: World) -> None:
    with pytest.raises(Killed):
        overtaken(world, KilledBeforeItsRow("vm-1", "negatives", world.tables))
    assert stored(world) == [GOOD[::-1], NEWER[::-1], GOOD[::-1]]
    world.upload("y.png")
    world.run()
    assert stored(world) == [NEWER[::-1], GOOD[::-1]]
    named = {one.version_id for row in world.ledger.results for one in row.outputs}
    versions = [one for each in world.store.versions(OUTPUT).values() for one in each]
    assert {one.version_id for one in versions} == named
    assert world.ledger.lost_leases() == []


def versions_and_rows(world: World) -> tuple[list[str], list[str]]:
    """Return the ids of all versions of results, and those in rows."""
    named = [one.version_id for row in world.ledger.results for one in row.outputs]
    versions = [one for each in world.store.versions(OUTPUT).values() for one in each]
    return sorted(one.version_id for one in versions), sorted(named)


class FailsOnce(MemoryLedger):
    """A ledger that fails when it would record the first results."""

    has_failed = False

    def record(self, results: Any) -> set[str]:
        if not FailsOnce.has_failed:
            FailsOnce.has_failed = True
            raise ServiceUnavailable("The database is away.")
        return super().record(results)


def test_a_result_stored_before_the_database_failed_is_swept(world: World) -> None:
    world.upload("x.png")
    FailsOnce.has_failed = False
    with pytest.raises(ServiceUnavailable):
        world.new_pass(ledger=FailsOnce("vm-1", "negatives", world.tables)).run()
    for machine in ("vm-2", "vm-1"):
        world.new_pass(ledger=world.ledger_of("negatives", machine)).run()
    stored_ids, named = versions_and_rows(world)
    assert stored_ids == named
    assert len(named) == 1


def test_a_result_stored_before_the_pass_was_interrupted_is_swept(world: World) -> None:
    world.upload("x.png")
    world.upload("y.png", b"second")
    world.transforms = Transforms({b"second": failing(PassInterrupted())})
    world.new_pass(1).run()
    world.transforms = Transforms()
    for _ in range(2):
        world.run()
    stored_ids, named = versions_and_rows(world)
    assert stored_ids == named
    assert len(named) == 2


class LosesResponses(MemoryStore):
    """A store whose responses to the first PUT are lost: all of them, or all but the last."""

    lost = 0
    was_repeated = False

    def put(self, bucket: str, key: str, *rest: Any) -> Stored:
        while bucket == OUTPUT and self.lost:
            self.lost -= 1
            super().put(bucket, key, *rest)
            if not self.was_repeated:
                raise UploadDeferred("no whole response")
        return super().put(bucket, key, *rest)._replace(was_repeated=self.was_repeated)


@pytest.mark.parametrize("was_repeated", [False, True])
def test_each_put_whose_response_was_lost_is_undone(world: World, *, was_repeated: bool) -> None:
    world.use(LosesResponses)
    assert isinstance(world.store, LosesResponses)
    world.store.lost, world.store.was_repeated = 1, was_repeated
    world.upload("x.png")
    if was_repeated:
        world.run()
    else:
        with pytest.raises(ServiceUnavailable):
            world.run()
        for _ in range(2):
            world.run()
    stored_ids, named = versions_and_rows(world)
    assert stored_ids == named
    assert len(named) == 1


def test_only_what_a_job_stored_under_the_lost_lease_is_swept(world: World) -> None:
    with pytest.raises(Killed):
        overtaken(world, KilledBeforeItsRow("vm-1", "negatives", world.tables))
    late, *_ = world.store.versions(OUTPUT)[KEY]
    others = [
        {},  # of another program
        {**late.metadata, "job": "0" * 32},
        {**late.metadata, "fence": "99"},
        {**late.metadata, "seconds": "many"},
    ]
    for metadata in others:
        world.store.upload(OUTPUT, KEY, b"another", metadata=metadata)
    world.store.upload(OUTPUT, f"{KEY}.more", b"of another key", metadata=late.metadata)
    world.store.delete(OUTPUT, KEY)
    before = len(world.store.versions(OUTPUT)[KEY])
    world.run()
    left = world.store.versions(OUTPUT)[KEY]
    assert len(left) == before - 1
    assert late not in left
    assert len(world.store.versions(OUTPUT)[f"{KEY}.more"]) == 1


def test_adopted_buckets_are_not_swept(world: World) -> None:

    world.pipelines["negatives"] = replace(world.pipelines["negatives"], output_adopted=True)
    with pytest.raises(Killed):
        overtaken(world, KilledBeforeItsRow("vm-1", "negatives", world.tables))
    before = stored(world)
    world.run()
    assert stored(world) == before


def test_a_frozen_machine_is_swept_by_others_as_often_as_needed(world: World) -> None:
    with pytest.raises(Killed):
        overtaken(world, KilledBeforeItsRow("vm-1", "negatives", world.tables))
    late, *_ = world.store.versions(OUTPUT)[KEY]
    for _ in range(2):  # another machine does not know when the frozen one ends
        world.new_pass(ledger=world.ledger_of("negatives", "vm-2")).run()
        assert stored(world) == [NEWER[::-1], GOOD[::-1]]
        world.store.upload(OUTPUT, KEY, late.content, metadata=late.metadata)
    world.run()
    assert stored(world) == [NEWER[::-1], GOOD[::-1]]


def test_results_that_share_a_key_are_versions_of_it(world: World) -> None:
    """Where the type changes, a.tif becomes a.tif.png."""
    world.pipelines["negatives"] = replace(world.pipelines["negatives"], output_key="")
    contents = {"a.tif": b"one", "a.tif.png": b"two"}
    for key, content in contents.items():
        world.upload(key, content)
    world.run()
    versions = {one.version_id: one.content for one in world.store.versions(OUTPUT)["a.tif.png"]}
    stored = {row.upload.key: versions[row.outputs[0].version_id] for row in world.ledger.results}
    assert stored == {key: content[::-1] for key, content in contents.items()}


def test_without_versions_nothing_is_swept(tmp_path: Path) -> None:
    world = World(tmp_path, versioned=False)
    with pytest.raises(Killed):
        overtaken(world, KilledBeforeItsRow("vm-1", "negatives", world.tables))
    world.run()
    assert list(world.store.versions(OUTPUT)) == [KEY]
    assert list(world.store.versions(INPUT)) == []
