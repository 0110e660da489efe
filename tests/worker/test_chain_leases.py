"""Leases in a chain: what is lost, renewed, or prepared by another machine."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.eventually import eventually
from tests.worker.chain_world import SECOND, versioned, world
from tests.worker.world import GOOD, INPUT, Transforms, World
from worker.jobs.lease_keeper import LeaseKeeper
from worker.ledger.ledger import Lease
from worker.ledger.memory_ledger import MemoryLedger
from worker.uploads.job import first_job
from worker.uploads.listing import group_by_key

__all__ = ["versioned", "world"]


def test_what_another_machine_works_on_is_left_alone(world: World) -> None:
    world.upload("mine.png")
    world.upload("theirs.png")
    (upload,) = [one for one in _listed(world) if one.key == "theirs.png"]
    other = world.ledger_of("negatives", "vm-2")
    other.start([first_job("negatives", upload)], alone=False)
    world.run()
    assert world.outcomes() == {"mine.png": "done"}
    assert world.left() == ["theirs.png"]
    assert [problem for _, problem in world.tables.heartbeats.values()] == [None]


def _listed(world: World) -> list[Any]:
    pages = world.store.list_pages(INPUT, versions=world.versioned)
    return [upload for work in group_by_key(INPUT, pages) for upload in work.uploads]


def test_a_lost_lease_leaves_nothing_behind(world: World) -> None:
    """Another machine takes over while the transform runs for long, and is then stopped."""
    world.upload("x.png")
    (upload,) = _listed(world)
    other = world.ledger_of("negatives", "vm-2")

    def overtake() -> None:
        for key, (lease, machine, until) in world.tables.leases.items():
            world.tables.leases[key] = (lease, machine, until - timedelta(minutes=1))
        assert other.start([first_job("negatives", upload)], alone=False)

    world.transforms = Transforms({GOOD: overtake})
    world.run()
    assert world.ledger.results == []
    assert world.left() == ["x.png"]
    if world.versioned:
        assert world.outputs() == {}
    assert world.store.versions(SECOND.input) == {}


def test_the_lease_of_a_long_job_is_renewed(versioned: World) -> None:
    versioned.upload("x.png")
    (upload,) = _listed(versioned)
    job = first_job("negatives", upload)
    fence = versioned.ledger.start([job], alone=False)[job.id].fence
    lease = Lease("x.png", fence)
    (first_end,) = (until for _, _, until in versioned.tables.leases.values())

    def is_renewed() -> bool:
        ends = [until for _, _, until in versioned.tables.leases.values()]
        return ends[0] > first_end

    keeper = LeaseKeeper(versioned.ledger, renew_after=0.01, pause=0.01)
    keeper.keep([lease], time.monotonic())
    keeper.open()
    try:
        eventually(is_renewed)
        keeper.release(["x.png"])
        assert versioned.tables.leases == {}
    finally:
        keeper.close()


class StoppedAfterPrepare(MemoryLedger):
    """A ledger whose worker is stopped for a minute right after it has prepared a result."""

    def prepare(self, result: Any) -> bool:
        is_prepared = super().prepare(result)
        self.pause(result.job)
        return is_prepared

    pause: Callable[[Any], None]


def test_a_prepared_result_outlives_the_lease(versioned: World) -> None:
    """Another machine has taken the job over and continues from the stored versions."""
    versioned.upload("x.png")
    ledger = StoppedAfterPrepare("vm-1", "negatives", versioned.tables)
    other = versioned.ledger_of("negatives", "vm-2")
    prepared = []

    def pause(job: Any) -> None:
        for key, (lease, machine, until) in versioned.tables.leases.items():
            versioned.tables.leases[key] = (lease, machine, until - timedelta(minutes=1))
        prepared.append(other.start([job], alone=False)[job.id].prepared)

    ledger.pause = pause
    versioned.new_pass(1, "negatives", ledger).run()
    (taken_over,) = prepared
    assert taken_over is not None
    other.record([taken_over])
    (output,) = taken_over.outputs
    stored = versioned.store.head(output.bucket, output.key, output.version_id)
    assert stored.size == len(GOOD)


class Stopped(MemoryLedger):
    """A ledger whose worker is stopped for a minute right after it has written a row."""

    def record(self, results: Any) -> set[str]:
        recorded = super().record(results)
        if recorded:
            self.pause()
        return recorded

    pause: Callable[[], None]


def test_nothing_is_deleted_under_a_lease_that_was_lost(
    versioned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    versioned.upload("x.png")
    ledger = Stopped("vm-1", "negatives", versioned.tables)
    other = versioned.ledger_of("negatives", "vm-2")

    def pause() -> None:
        later = time.monotonic() + 60
        monkeypatch.setattr(time, "monotonic", lambda: later)
        for key, (lease, machine, until) in versioned.tables.leases.items():
            versioned.tables.leases[key] = (lease, machine, until - timedelta(minutes=1))
        (upload,) = _listed(versioned)
        assert other.start([first_job("negatives", upload)], alone=False)

    ledger.pause = pause
    versioned.new_pass(ledger=ledger).run()
    assert versioned.left() == ["x.png"]
    assert versioned.outcomes() == {"x.png": "done"}
