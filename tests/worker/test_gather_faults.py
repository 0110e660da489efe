"""Gathers whose files are forged, whose members are gone, and that machines do not finish."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker.gather_world import (
    CONFIGURATION,
    MODEL,
    STACK,
    TRAIN,
    gathering,
    put_file,
    run_all,
    stack,
    states,
)
from tests.worker.world import World
from worker.errors import ServiceUnavailable, UploadDeferred
from worker.jobs.disk import Space
from worker.store.memory_store import MemoryStore

FORGED = (
    "it is not a file that 'model' gathers a run from: this pipeline reads results only, so "
    "upload it to split, where its runs begin"
)


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return gathering(tmp_path, is_versioned=request.param)


def test_a_file_that_the_worker_did_not_write_is_refused(world: World) -> None:
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    gather = put_file(world)
    genuine = {"run": gather.run, "parent": gather.id, "number": "1"}
    other = replace(gather, members=gather.members[:1])
    bucket, key = MODEL.input, f"{gather.run}.json"
    world.store.upload(bucket, "a.json", b"{}")
    world.store.upload(bucket, f"forged-{key}", gather.manifest.encode())
    world.store.upload(bucket, f"fewer-{key}", other.manifest.encode(), metadata=genuine)
    world.store.upload(bucket, f"second-{key}", gather.manifest.encode(), metadata=genuine)
    run_all(world, "model", "model")
    rows = {one.upload.key: one for one in world.ledger_of("model").results}
    assert rows.pop("a.json").reason == FORGED
    assert {rows.pop(f"{name}-{key}").reason for name in ("forged", "fewer")} == {FORGED}
    (job,) = rows.values()  # of the two that name the gather, one has a job
    assert (job.outcome, job.job.run_id) == ("done", gather.run)
    assert world.left("model") == []


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_a_member_that_is_gone_is_named(world: World, what: str) -> None:
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    if what == "replaced" and not world.versioned:
        world.store.upload(TRAIN.output, "x.json.2.png", b"another")
    else:
        for version in world.store.versions(TRAIN.output)["x.json.2.png"]:
            world.store.delete_versions(TRAIN.output, [("x.json.2.png", version.version_id)])
            world.store.delete(TRAIN.output, "x.json.2.png")
    run_all(world, "model")
    (job,) = world.ledger_of("model").results
    assert job.reason and job.reason.startswith(
        "its member 'x.json.2.png' of 'train' was deleted or replaced since job "
    )


def test_members_of_one_name_are_refused(tmp_path: Path) -> None:
    train = replace(TRAIN, output_key="same.{name:.0}")
    world = stack(tmp_path, **(STACK | {"train": train}))
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    (job,) = world.ledger_of("model").results
    assert job.reason and job.reason.startswith("3 members have the key 'same.' (jobs ")


def test_one_of_two_machines_gathers_a_run(world: World) -> None:
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    machines = ("vm-1", "vm-2")
    for machine in machines:
        put_file(world, machine)
    (versions,) = world.store.versions(MODEL.input).values()
    assert len(versions) == 1
    for machine in machines:
        world.new_pass(pipeline="model", machine=machine).run()
    assert states(world) == ["done"]


class FailingStore(MemoryStore):
    """Refuses to store the files of runs; each second time, after it has stored them."""

    failures = 0
    error: Exception = UploadDeferred("not now")

    def put(self, bucket: str, key: str, *arguments: object) -> object:  # type: ignore[override]
        if bucket != MODEL.input or not self.failures:
            return super().put(bucket, key, *arguments)  # type: ignore[arg-type]
        self.failures -= 1
        if self.failures % 2:
            super().put(bucket, key, *arguments)  # type: ignore[arg-type]
        raise self.error


@pytest.mark.parametrize("error", [UploadDeferred("not now."), ServiceUnavailable("no store.")])
def test_a_file_that_was_not_stored_is_stored_later(world: World, error: Exception) -> None:
    world.use(FailingStore)
    assert isinstance(world.store, FailingStore)
    world.store.error = error
    world.store.failures = 2
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    assert [world.run_failing(pipeline="model") for _ in range(2)] == [str(error)] * 2
    run_all(world, "model")
    run_all(world, "model")
    assert states(world) == ["done"]
    assert world.left("model") == []


def test_another_machine_takes_a_gather_over_after_a_while(world: World) -> None:
    world.use(FailingStore)
    assert isinstance(world.store, FailingStore)
    world.store.failures = 1
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    world.run_failing(pipeline="model")
    world.new_pass(pipeline="model", machine="vm-2").run()
    before = states(world)
    world.expire_gathers()
    world.new_pass(pipeline="model", machine="vm-2").run()
    assert (before, states(world)) == ([], ["done"])


def test_the_disk_must_have_space_for_all_members(world: World) -> None:
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    gather = put_file(world)
    needed = 2 * (gather.bytes + len(gather.manifest))
    world.space = Space(needed - 1, needed)
    assert world.run_failing(pipeline="model") == (
        f"'{gather.run}.json' is deferred: it needs {needed} bytes of disk, for its members and "
        f"its results, and {needed - 1} are free: free space on the machine."
    )
    world.space = Space(needed - 1, needed - 1)
    run_all(world, "model")
    (job,) = world.ledger_of("model").results
    assert job.reason == (
        f"it needs {needed} bytes of disk, for its members and its results, and the machine has "
        f"{needed - 1}: split it, or use a flavor with a larger disk"
    )


def test_a_gather_that_the_database_lost_is_not_done_twice(world: World) -> None:
    """As after a backup was restored, and `rebuild-log` has added the row of its job."""
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    world.tables.gathers.clear()
    run_all(world, "model", "model")
    assert (states(world), world.left("model")) == (["done"], [])
