"""Machines that share a pipeline's work: decisions, in memory."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.eventually import eventually, patience
from tests.worker.chain_world import chained
from tests.worker.fleet_world import Fleet, set_at_the_end
from tests.worker.gather_world import CONFIGURATION, SPLITS, gathering, retry, splitting
from tests.worker.test_grace import let_hours_pass
from tests.worker.world import GOOD, INPUT, QUARANTINE, Transforms, World, failing
from worker.dispatch.bundle import Bundle
from worker.dispatch.memory_assignments import MemoryAssignments
from worker.errors import InvalidInput, ObjectMissing, TransformCrashed, UploadDeferred
from worker.jobs.work_queue import BATCH_BYTES
from worker.ledger.memory_tables import AttemptRow
from worker.store.memory_store import MemoryStore
from worker.uploads.listing import group_by_key

ONE, TWO = "vm-1", "vm-2"


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return quick(World(tmp_path, request.param))


@pytest.fixture
def versioned(tmp_path: Path) -> World:
    return quick(World(tmp_path))


def quick(world: World) -> World:
    world.schedule = replace(world.schedule, retry=(0.01, 0.05), empty=0.2)
    return world


def finish(world: World, fleet: Fleet, *pipelines: str) -> None:
    """Wait until the input buckets are empty, and nothing is assigned or leased."""
    names = pipelines or ("negatives",)
    eventually(lambda: not any(world.left(name) for name in names) and fleet.is_empty)


def problems(world: World) -> set[str]:
    return {problem for _, problem in list(world.tables.heartbeats.values()) if problem}


def test_machines_share_the_work(world: World) -> None:
    """Each upload has one job; both machines have begun before either goes on."""
    for number in range(100):
        world.upload(f"{number}.png")
    begun = {name: threading.Event() for name in (ONE, TWO)}

    def meet(name: str) -> None:
        begun[name].set()
        assert all(event.wait(60 * patience()) for event in begun.values())

    with Fleet(world) as fleet:
        machines = [
            fleet.start(name, Transforms({b"photo": partial(meet, name)})) for name in begun
        ]
        finish(world, fleet)
        made = [len(machine.transforms.inputs) for machine in machines]
    assert sum(made) == len(world.outcomes()) == len(world.ledger.results) == 100
    assert min(made) > 0
    assert [machine.problem for machine in machines] == [None, None]
    assert (world.tables.leases, world.tables.attempts) == ({}, {})


def test_another_machine_lists_when_the_lister_has_ended(world: World) -> None:
    with Fleet(world) as fleet:
        fleet.start(ONE, Transforms())
        eventually(lambda: fleet.lister == ONE)
        fleet.start(TWO)
        world.upload("first.png")
        finish(world, fleet)
        fleet.machines[ONE].stop()
        world.upload("second.png")
        finish(world, fleet)
        assert fleet.lister == TWO
    assert set(world.outcomes()) == {"first.png", "second.png"}


def test_a_machine_that_ends_gives_its_work_back(world: World) -> None:
    """What it has got and not begun, and what it works on."""
    hanging, released = threading.Semaphore(0), threading.Event()

    def hang() -> None:
        hanging.release()
        assert released.wait(300 * patience())

    for number in range(20):
        world.upload(f"{number}.png")
    with Fleet(world) as fleet, set_at_the_end(released):
        one = fleet.start(ONE, Transforms({b"photo": hang}))
        for _ in range(2):
            assert hanging.acquire(timeout=60 * patience())
        two = fleet.start(TWO)
        eventually(lambda: len(two.transforms.inputs) > 0)
        one.one.stop()
        released.set()
        one.join()
        finish(world, fleet)
    assert len(world.ledger.results) == len(world.outcomes()) == 20


def test_the_last_job_of_a_pass_holds_up_no_other(world: World) -> None:
    """A pass that has ended but for one job gets no work that others could do."""
    begun, released = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        assert released.wait(300 * patience())

    world.schedule = replace(world.schedule, heartbeat=0.02)
    world.upload("long.png", b"long")
    with Fleet(world) as fleet, set_at_the_end(released):
        one = fleet.start(ONE, Transforms({b"long": hang}), is_outdated=begun.is_set)
        eventually(lambda: one.one.was_outdated)
        for number in range(20):
            world.upload(f"{number}.png")
        fleet.start(TWO)
        eventually(lambda: len(world.outcomes()) == 20)
        released.set()
        finish(world, fleet)
    assert len(world.ledger.results) == 21


def test_works_of_an_earlier_input_bucket_are_left_alone(world: World) -> None:
    """They were assigned before the settings were changed."""
    world.store.upload(QUARANTINE, "x.png", GOOD)
    pages = world.store.list_pages(QUARANTINE, versions=False)
    bundle = Bundle([*group_by_key(QUARANTINE, pages)], {}, is_slow=False)
    with Fleet(world) as fleet:
        lister = MemoryAssignments(TWO, "negatives", world.tables, fleet.queue)
        assert lister.lead()
        assert lister.assign([bundle])
        fleet.start(ONE)
        eventually(lambda: fleet.is_empty)
        lister.resign()
        world.upload("y.png")
        finish(world, fleet)
    assert world.outcomes() == {"y.png": "done"}
    assert [*world.store.versions(QUARANTINE)] == ["x.png"]


def test_a_dead_machines_work_is_done_by_others(versioned: World) -> None:
    """Its heartbeats and leases have ended; it stores nothing afterwards."""
    hanging, released = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        assert released.wait(300 * patience())

    versioned.upload("x.png")
    with Fleet(versioned) as fleet, set_at_the_end(released):
        one = fleet.start(ONE, Transforms({b"photo": hang}))
        assert hanging.wait(60 * patience())
        one.queues[0].vanish()
        with fleet.queue.changed:
            fleet.queue.listers.clear()
        fleet.start(TWO)
        versioned.upload("y.png")  # is listed later, and processed although x.png is leased
        eventually(lambda: versioned.outcomes() == {"y.png": "done"})

        def is_done_by_another() -> bool:
            versioned.expire_leases()  # vm-1 is alive, and may have renewed its lease
            return len(versioned.outcomes()) == 2

        eventually(is_done_by_another)
        released.set()
        eventually(lambda: versioned.left() == [])
    assert {machine for _, machine, _ in versioned.tables.results.values()} == {TWO}
    assert len(versioned.store.versions("output")["negated_x.png"]) == 1


def test_a_failed_queue_ends_the_pass(world: World) -> None:
    with Fleet(world) as fleet:
        one = fleet.start(ONE)
        eventually(lambda: fleet.lister == ONE)
        one.queues[0].fail("The database has gone.")
        one.join()
    assert one.problem == "The database has gone."


def test_a_failed_upload_is_tried_again_by_any_machine(world: World) -> None:
    """Its problem is shown as long as it lasts."""
    is_mended = threading.Event()

    def fail() -> None:
        if not is_mended.is_set():
            raise UploadDeferred("not yet")

    world.schedule = replace(world.schedule, heartbeat=0.02)
    world.upload("x.png", b"later")
    world.upload("y.png")
    with Fleet(world) as fleet:
        for name in (ONE, TWO):
            fleet.start(name, Transforms({b"later": fail}))
        eventually(lambda: any("not yet" in one for one in problems(world)))
        eventually(lambda: world.outcomes() == {"y.png": "done"})
        is_mended.set()
        finish(world, fleet)
        eventually(lambda: not problems(world))
    assert world.outcomes() == {"x.png": "done", "y.png": "done"}
    assert world.tables.attempts == {}


def test_what_crashes_runs_alone_and_is_quarantined(world: World) -> None:
    running, beside = threading.Semaphore(1), []

    def crash() -> None:
        beside.append(not running.acquire(blocking=False))
        time.sleep(0.02)
        if not beside[-1]:
            running.release()
        raise TransformCrashed("signal 9")

    world.upload("a.png", b"crash")
    for number in range(10):
        world.upload(f"{number}.png")
    with Fleet(world) as fleet:
        for name in (ONE, TWO):
            fleet.start(name, Transforms({b"crash": crash}))
        finish(world, fleet)
    outcomes = world.outcomes()
    assert outcomes.pop("a.png") == "quarantined"
    assert set(outcomes.values()) == {"done"}
    assert len(beside) == 4  # one beside others, three alone


def test_a_deleted_upload_leaves_nothing(world: World) -> None:
    """The user deletes what cannot be processed."""
    world.transforms = Transforms({b"never": failing(UploadDeferred("not here"))})
    world.upload("x.png", b"never")
    with Fleet(world) as fleet:
        fleet.start(ONE)
        eventually(lambda: world.tables.attempts)
        world.store.delete(INPUT, "x.png")
        eventually(lambda: not (world.left() or world.tables.attempts) and fleet.is_empty)
    assert world.outcomes() == {}


class Missing(MemoryStore):
    """Lists an object that it does not find for a number of times."""

    times = 2

    def read(self, bucket: str, key: str, version_id: str, etag: str, size: int) -> object:  # type: ignore[override]
        if key == "x.png" and version_id in ("1", "") and self.times:
            self.times -= 1
            raise ObjectMissing("no such version")
        return super().read(bucket, key, version_id, etag, size)


def test_a_newer_version_waits_for_one_that_is_found_late(versioned: World) -> None:
    """The newest upload's result is stored last."""
    versioned.use(Missing)
    versioned.upload("x.png", b"older")
    versioned.upload("x.png", b"newer")
    with Fleet(versioned) as fleet:
        fleet.start(ONE)
        fleet.start(TWO)
        finish(versioned, fleet)
    hashes = [versions.content for versions in versioned.store.versions("output")["negated_x.png"]]
    assert hashes == [b"rewen", b"redlo"]
    assert versioned.tables.attempts == {}


def test_an_object_that_is_never_found_is_named(versioned: World) -> None:
    """Newer versions are processed, and it is asked for ever more rarely."""
    versioned.use(Missing)
    assert isinstance(versioned.store, Missing)
    versioned.store.times = 10**9
    versioned.schedule = replace(versioned.schedule, heartbeat=0.02)
    versioned.upload("x.png", b"older")
    versioned.upload("x.png", b"newer")
    with Fleet(versioned) as fleet:
        fleet.start(ONE)
        eventually(lambda: versioned.outcomes() == {"x.png": "done"})
        expected = {"The bucket 'input' lists 'x.png', but does not find it."}
        eventually(lambda: problems(versioned) == expected)
        versioned.store.times = 0
        finish(versioned, fleet)
    assert len(versioned.ledger.results) == 2
    assert versioned.tables.attempts == {}


def test_empty_objects_wait_for_their_content(world: World) -> None:
    for empty in (10**9, 0):
        world.schedule = replace(world.schedule, empty=empty)
        world.upload("filled.png", b"")
        world.upload("empty.png", b"")
        world.upload("other.png")
        with Fleet(world) as fleet:
            fleet.start(ONE, Transforms({b"": failing(InvalidInput("empty"))}))
            eventually(lambda: "other.png" in world.outcomes())
            world.upload("filled.png", b"photo")
            eventually(lambda: "filled.png" in world.outcomes())
            if empty:
                eventually(lambda: world.left() == ["empty.png"] and fleet.is_empty)
                assert world.outcomes() == {"filled.png": "done", "other.png": "done"}
            else:
                finish(world, fleet)
    assert world.outcomes()["empty.png"] == "quarantined"


def test_versions_are_processed_in_order_and_withdrawn_ones_deleted(versioned: World) -> None:
    contents = [str(number).encode() for number in range(5)]
    versioned.upload("x.png", b"withdrawn")
    versioned.store.delete(INPUT, "x.png")
    for content in contents:
        versioned.upload("x.png", content)
    versioned.upload("gone.png")
    versioned.store.delete(INPUT, "gone.png")
    with Fleet(versioned) as fleet:
        fleet.start(ONE)
        fleet.start(TWO)
        finish(versioned, fleet)
    assert versioned.transforms.inputs == contents
    stored = versioned.store.versions("output")
    assert [one.content for one in stored["negated_x.png"]] == contents[::-1]
    assert list(stored) == ["negated_x.png"]


def test_an_undeletable_upload_is_transformed_once(versioned: World) -> None:
    versioned.upload("x.png", b"locked")
    versioned.store.lock(INPUT, "x.png")
    with Fleet(versioned) as fleet:
        fleet.start(ONE)
        eventually(lambda: versioned.outcomes() == {"x.png": "done"})
        eventually(lambda: any(row.shown.is_undeletable for row in attempts(versioned)))
        let_hours_pass(versioned)
        versioned.upload("x.png", b"newer")
        eventually(lambda: len(versioned.ledger.results) == 2)
        failures = [row.shown.failures for row in attempts(versioned)]
        let_hours_pass(versioned)  # its deletion is tried again
        eventually(lambda: [row.shown.failures for row in attempts(versioned)] > failures)
        versioned.store.unlock(INPUT, "x.png")
        let_hours_pass(versioned)
        finish(versioned, fleet)
    assert versioned.transforms.inputs == [b"locked", b"newer"]
    assert versioned.tables.attempts == {}


def attempts(world: World) -> list[AttemptRow]:
    return list(world.tables.attempts.values())


def test_a_failed_deletion_is_repeated_without_the_transform(world: World) -> None:
    fails = count()

    class Failing(MemoryStore):
        def delete_versions(
            self, bucket: str, versions: Sequence[tuple[str, str]]
        ) -> dict[tuple[str, str], UploadDeferred]:
            if next(fails) < 2:
                return dict.fromkeys(versions, UploadDeferred("busy"))
            return super().delete_versions(bucket, versions)

        def delete_if_unchanged(self, bucket: str, key: str, version_id: str, etag: str) -> None:
            if next(fails) < 2:
                raise UploadDeferred("busy")
            super().delete_if_unchanged(bucket, key, version_id, etag)

    world.use(Failing)
    world.upload("x.png")
    with Fleet(world) as fleet:
        fleet.start(ONE)
        eventually(lambda: world.outcomes() == {"x.png": "done"})
        for place, (moment, machine, result) in list(world.tables.results.items()):
            world.tables.results[place] = (moment - timedelta(seconds=20), machine, result)
        finish(world, fleet)
    assert world.transforms.inputs == [b"photo"]


def test_large_uploads_leave_threads_to_small_ones(world: World) -> None:
    """They take at most half of all threads, also if they came first."""
    large, are_small_done = bytes(BATCH_BYTES + 1), threading.Event()
    beside: Counter[str] = Counter()
    lock = threading.Lock()

    def wait() -> None:
        with lock:
            beside["running"] += 1
            beside["most"] = max(beside["most"], beside["running"])
        assert are_small_done.wait(300 * patience())
        with lock:
            beside["running"] -= 1

    world.schedule = replace(world.schedule, pause=(0.2, 0.2))
    for number in range(3):
        world.upload(f"a{number}.png", large)
    for number in range(10):
        world.upload(f"b{number}.png")
    with Fleet(world) as fleet, set_at_the_end(are_small_done):
        for name in (ONE, TWO):
            fleet.start(name, Transforms({large: wait}))
        eventually(lambda: len(world.outcomes()) == 10)
        are_small_done.set()
        finish(world, fleet)
    assert len(world.outcomes()) == 13
    assert 1 <= beside["most"] <= 2  # while both machines are live; one alone has one thread for it


def test_failed_uploads_do_not_delay_others(world: World) -> None:
    """Downloads that hang at every second try take half of all threads at most."""
    tried, released = set[str](), threading.Event()
    hanging = threading.Semaphore(0)

    def hang_at_the_second_try(name: str) -> Callable[[], None]:
        def act() -> None:
            if name not in tried:
                tried.add(name)
                raise UploadDeferred("not yet")
            hanging.release()
            assert released.wait(300 * patience())

        return act

    names = [f"hangs {number}" for number in range(8)]
    world.transforms = Transforms({one.encode(): hang_at_the_second_try(one) for one in names})
    for name in names:
        world.upload(f"{name}.png", name.encode())
    with Fleet(world, threads=4) as fleet, set_at_the_end(released):
        for name in (ONE, TWO):
            fleet.start(name)
        for _ in range(2):
            assert hanging.acquire(timeout=60 * patience())
        time.sleep(0.5)  # the others would have been assigned meanwhile
        for number in range(50):
            world.upload(f"{number}.png")
        eventually(lambda: len(world.outcomes()) == 50)
        released.set()
        finish(world, fleet)
    assert len(world.outcomes()) == len(names) + 50


def test_chains_and_retries(tmp_path: Path) -> None:
    """Copies to readers have one job each, and a retried job's quarantined copy goes."""
    world = quick(chained(tmp_path))
    is_mended = threading.Event()

    def fail() -> None:
        if not is_mended.is_set():
            raise InvalidInput("bad")

    world.transforms = Transforms({b"bad": fail})
    world.upload("x.png")
    world.upload("bad.png", b"bad")
    with Fleet(world) as first, Fleet(world, "inverted") as second:
        for fleet in (first, second):
            fleet.start(ONE)
            fleet.start(TWO)
        finish(world, second, "negatives", "inverted")
        eventually(lambda: len(world.outcomes("inverted")) == 1)
        assert world.outcomes() == {"x.png": "done", "bad.png": "quarantined"}
        is_mended.set()
        retry(world, "negatives", "bad.png")
        eventually(lambda: len(world.outcomes("inverted")) == 2)
        finish(world, second, "negatives", "inverted")
    assert set(world.outcomes("inverted")) == {"negated_x.png", "negated_bad.png"}
    assert world.store.versions("quarantine") == {}


def test_gathers(tmp_path: Path) -> None:
    world = quick(gathering(tmp_path, is_versioned=True))
    world.transforms = splitting()
    world.upload("x.json", CONFIGURATION)
    names = ("split", "train", "model")
    fleets = [Fleet(world, name) for name in names]
    with fleets[0], fleets[1], fleets[2]:
        for fleet in fleets:
            fleet.start(ONE)
            fleet.start(TWO)
        eventually(lambda: len(world.outputs("model")) == 1)
        finish(world, fleets[2], *names)
    assert len(world.tables.gathers) == 1
    assert world.transforms.inputs.count(b"+".join(one[::-1] for one in SPLITS)) == 1
