"""Pipelines that read other pipelines' results, retries, leases: decisions, in memory."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.worker.world import ARCHIVE, GOOD, INPUT, QUARANTINE, Transforms, World, failing, making
from worker.errors import InvalidInput, ServiceUnavailable, TransformCrashed, UploadDeferred
from worker.jobs import quarantine
from worker.jobs.lease_keeper import LeaseKeeper
from worker.ledger.ledger import Lease
from worker.ledger.memory_ledger import MemoryLedger
from worker.ledger.memory_tables import RetryRow
from worker.settings import Pipeline
from worker.store.memory_store import MemoryStore
from worker.store.store import Source
from worker.uploads.job import Parent, first_job
from worker.uploads.listing import group_by_key

FIRST = Pipeline(
    "negatives", "negate", INPUT, "output", output_key="negated_{name}", readers=("inverted",)
)
SECOND = Pipeline("inverted", "negate", "inverted-input", "inverted-output", sources=("negatives",))
READER_INPUT, READER_OUTPUT = SECOND.input, SECOND.output


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def chained(folder: Path, *, versioned: bool = True, **more: Pipeline) -> World:
    return World(folder, versioned, {"negatives": FIRST, "inverted": SECOND} | more)


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return chained(tmp_path, versioned=request.param)


@pytest.fixture
def versioned(tmp_path: Path) -> World:
    return chained(tmp_path)


def test_a_result_is_read_by_the_next_pipeline(world: World) -> None:
    world.upload("a/x.png")
    world.run()
    assert world.left() == []
    assert world.outputs() == {"a/negated_x.png": GOOD[::-1]}  # it stays where it is
    ((copy,),) = world.store.versions(READER_INPUT).values()
    (first,) = world.ledger.results
    metadata = {"run": first.job.id, "parent": first.job.id, "number": "1"}
    assert copy.metadata.items() >= metadata.items()
    assert copy.content_type == "image/png"
    world.run(pipeline="inverted")
    (second,) = world.ledger_of("inverted").results
    assert (second.job.run_id, second.job.parent) == (first.job.id, Parent(first.job.id, 1))
    assert world.left("inverted") == []
    assert world.outputs("inverted") == {"a/negated_x.png": GOOD}


def test_several_results_records_and_notes_are_recorded(world: World) -> None:
    made = {"results": [b"1", b"22"], "records": [{"n": 1}, {"n": 2}], "notes": ["turned"]}
    world.transforms = Transforms({GOOD: making(**made)})
    pattern = replace(FIRST, output_key="{run}-{name}.{number}.{ext}")
    world.pipelines["negatives"] = pattern
    world.upload("a/x.png")
    world.run()
    (result,) = world.ledger.results
    keys = [f"a/{result.job.run_id}-x.png.{number}.png" for number in (1, 2)]
    assert world.outputs() == dict(zip(keys, [b"1", b"22"], strict=True))
    assert [(one.number, one.key, one.bytes) for one in result.outputs] == [
        (1, keys[0], 1),
        (2, keys[1], 2),
    ]
    assert [one.sha256 for one in result.outputs] == [sha256(b"1"), sha256(b"22")]
    assert (result.records, result.notes) == (made["records"], made["notes"])
    assert list(world.store.versions(READER_INPUT)) == keys
    world.run(pipeline="inverted")
    parents = {one.job.parent for one in world.ledger_of("inverted").results}
    assert parents == {Parent(result.job.id, 1), Parent(result.job.id, 2)}


def test_results_of_several_sources_do_not_collide(tmp_path: Path) -> None:
    other = Pipeline("copies", "negate", "copies-input", "copies-output", readers=("inverted",))
    reader = replace(SECOND, sources=("negatives", "copies"))
    world = chained(tmp_path, versioned=False, copies=other, inverted=reader)
    world.pipelines["negatives"] = replace(FIRST, output_key="")
    world.upload("x.png", b"one")
    world.store.upload(other.input, "x.png", b"two")
    world.run()
    world.run(pipeline="copies")
    assert list(world.store.versions(READER_INPUT)) == ["copies/x.png", "negatives/x.png"]


def test_a_result_whose_copy_would_have_too_long_a_key_is_quarantined(tmp_path: Path) -> None:
    reader = replace(SECOND, sources=("negatives", "another"))
    world = chained(tmp_path, inverted=reader)
    world.pipelines["negatives"] = replace(FIRST, output_key="")
    fits, too_long = ("x" * length + ".png" for length in (1010, 1011))
    world.upload(fits)  # with "negatives/" as long as a key may be
    world.upload(too_long)
    world.run()
    assert world.outcomes() == {fits: "done", too_long: "quarantined"}


@pytest.mark.parametrize(
    "forgery",
    [
        {"parent": "0" * 32, "number": "1", "run": "0" * 32},
        {"parent": "ID", "number": "2"},
        {"parent": "ID", "number": "01"},
        {"parent": "ID", "number": "9" * 30},
        {"parent": "ID'; --", "number": "1"},
        {"retry": "ID"},
        {"retry": "0" * 32},
    ],
)
def test_forged_metadata_is_ignored(versioned: World, forgery: dict[str, str]) -> None:
    versioned.upload("x.png")
    versioned.run()
    versioned.run(pipeline="inverted")
    (first,) = versioned.ledger.results
    metadata = {name: value.replace("ID", first.job.id) for name, value in forgery.items()}
    versioned.store.upload(READER_INPUT, "forged.png", GOOD[::-1], metadata=metadata)
    versioned.run(pipeline="inverted")
    forged = versioned.ledger_of("inverted").results[-1].job
    assert (forged.run_id, forged.parent, forged.retry_of) == (forged.id, None, None)
    assert versioned.left("inverted") == []


def test_metadata_of_another_content_or_pipeline_is_ignored(versioned: World) -> None:
    versioned.upload("x.png")
    versioned.run()
    (first,) = versioned.ledger.results
    metadata = {"run": first.job.id, "parent": first.job.id, "number": "1"}
    versioned.store.upload(READER_INPUT, "other.png", b"other bytes", metadata=metadata)
    # The first pipeline has no sources: whatever comes into it begins a run.
    versioned.store.upload(INPUT, "own.png", GOOD[::-1], metadata=metadata)
    versioned.run()
    versioned.run(pipeline="inverted")
    jobs = [one.job for one in versioned.ledger_of("inverted").results]
    (other,) = [job for job in jobs if job.upload.key == "other.png"]
    assert (other.run_id, other.parent) == (other.id, None)
    assert versioned.ledger.results[-1].job.parent is None


def test_a_copy_waits_until_its_key_is_free(tmp_path: Path) -> None:
    world = chained(tmp_path, versioned=False)
    world.store.upload(READER_INPUT, "negated_x.png", b"somebody's")
    world.upload("x.png")
    reason = world.run_failing()
    assert reason == (
        "'negated_x.png' waits until the pipeline 'inverted' has read another object of this name."
    )
    assert world.left() == ["x.png"]
    assert world.ledger.results == []
    world.run(pipeline="inverted")
    world.run()
    assert world.transforms.inputs.count(GOOD) == 1  # it was not transformed again
    world.run(pipeline="inverted")
    contents = {one.input_sha256 for one in world.ledger_of("inverted").results}
    assert contents == {sha256(b"somebody's"), sha256(GOOD[::-1])}


def test_a_result_that_vanished_before_it_was_copied(tmp_path: Path) -> None:
    world = chained(tmp_path, versioned=False)
    world.store.upload(READER_INPUT, "negated_x.png", b"somebody's")
    world.upload("x.png")
    world.run_failing()
    world.store.delete("output", "negated_x.png")
    world.run(pipeline="inverted")
    world.run()
    (result,) = world.ledger.results
    assert (result.outcome, result.reason) == (
        "quarantined",
        "its result 'negated_x.png' was deleted or replaced before the pipeline 'inverted' got "
        "a copy",
    )
    assert world.left() == []
    key = quarantine.storage_key("negatives", "x.png", sha256(GOOD))
    assert list(world.store.versions(QUARANTINE)) == [key, f"{key}.json"]


class Killed(BaseException):
    """The worker was killed."""


class Killer:
    """Raises in place of a call to the store or the ledger, or right after it."""

    def __init__(self, turn: int, *, after: bool) -> None:
        self.turns, self._turn, self._after = 0, turn, after

    def __call__(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self.turns += 1
        if self.turns < self._turn:
            return call(*arguments, **options)
        if self.turns == self._turn and self._after:
            call(*arguments, **options)
        raise Killed

    def over(self, target: Any) -> Any:
        """Return an object with the same methods, each of which may be the last."""
        killer = self

        class Proxy:
            def __getattr__(self, name: str) -> Any:
                attribute = getattr(target, name)
                if not callable(attribute):
                    return attribute
                return lambda *arguments, **options: killer(attribute, *arguments, **options)

        return Proxy()


def kill_a_pass(world: World, pipeline: str, killer: Killer) -> bool:
    """Make a pass that is killed at its turn; return whether it was."""
    store, ledger = world.store, killer.over(world.ledger_of(pipeline))
    world.store = killer.over(store)
    try:
        world.new_pass(1, pipeline, ledger).run(0)
    except Killed:
        return True
    finally:
        world.store = store
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kept", [False, True], ids=["deleted", "kept"])
def test_killed_at_every_call(world: World, *, after: bool, kept: bool, tmp_path: Path) -> None:
    """Each time the transform makes other bytes; the kills begin with the first pass."""
    numbers = count()
    turn, was_killed = 0, True
    while was_killed:
        turn += 1
        world = chained(tmp_path, versioned=world.versioned)
        world.pipelines["negatives"] = replace(FIRST, keep_inputs=kept, output_key="")
        makes = lambda: {  # noqa: E731
            "results": [f"{next(numbers)}".encode(), f"{next(numbers)}".encode()],
            "records": [{"n": next(numbers)}],
        }
        world.transforms = Transforms({GOOD: makes, b"bad": failing(InvalidInput("bad"))})
        world.upload("a/x.png")
        world.upload("b.png", b"bad")
        killer = Killer(turn, after=after)
        was_killed = kill_a_pass(world, "negatives", killer)
        if turn % 2:  # the reader may run in between
            world.run(pipeline="inverted")
        world.run()
        world.run(pipeline="inverted")
        _is_exact(world, kept=kept)
    assert turn > 10


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_reader_is_killed_at_every_call(world: World, *, after: bool, tmp_path: Path) -> None:
    numbers = count()
    turn, was_killed = 0, True
    while was_killed:
        turn += 1
        world = chained(tmp_path, versioned=world.versioned)
        world.pipelines["negatives"] = replace(FIRST, output_key="")
        two = {"results": [b"one", b"two"], "records": [{"n": 1}]}
        other = lambda: {"results": [f"{next(numbers)}".encode()]}  # noqa: E731
        bad = failing(InvalidInput("bad"))
        world.transforms = Transforms(
            {GOOD: making(**two), b"bad": bad, b"one": other, b"two": other}
        )
        world.upload("a/x.png")
        world.upload("b.png", b"bad")
        world.run()
        was_killed = kill_a_pass(world, "inverted", Killer(turn, after=after))
        world.run(pipeline="inverted")
        _is_exact(world)
    assert turn > 10


def _is_exact(world: World, *, kept: bool = False) -> None:
    """Check that one upload became two results, and each of these one of the next pipeline."""
    assert world.left() == world.left("inverted") == []
    assert world.outcomes() == {"a/x.png": "done", "b.png": "quarantined"}
    assert len(world.ledger.results) == 2
    (first,) = [one for one in world.ledger.results if one.outcome == "done"]
    stored = world.outputs()
    assert [sha256(stored[one.key]) for one in first.outputs] == [
        one.sha256 for one in first.outputs
    ]
    assert len(first.outputs) == 2
    assert len(first.records) == 1
    seconds = world.ledger_of("inverted").results
    assert sorted(one.job.parent.number for one in seconds if one.job.parent) == [1, 2]
    assert len(seconds) == 2
    by_number = {one.number: one.sha256 for one in first.outputs}
    for second in seconds:
        assert second.job.parent
        assert second.job.parent.job_id == second.job.run_id == first.job.id
        assert second.input_sha256 == by_number[second.job.parent.number]
        (output,) = second.outputs
        assert sha256(world.outputs("inverted")[output.key]) == output.sha256
    assert world.tables.prepared == {}
    assert world.tables.attempts == {}
    quarantined = quarantine.storage_key("negatives", "b.png", sha256(b"bad"))
    assert list(world.store.versions(QUARANTINE)) == [quarantined, f"{quarantined}.json"]
    archived = quarantine.storage_key("negatives", "a/x.png", sha256(GOOD))
    assert list(world.store.versions(ARCHIVE)) == [archived] * kept


# Kept inputs and ignored keys.


def test_an_input_is_kept_before_it_is_deleted(world: World) -> None:
    world.pipelines["negatives"] = replace(FIRST, keep_inputs=True)
    world.transforms = Transforms({b"bad": failing(InvalidInput("bad"))})
    world.upload("a/x.png")
    world.upload("bad.png", b"bad")
    world.run()
    assert world.left() == []
    ((key, (kept,)),) = world.store.versions(ARCHIVE).items()
    assert key == f"negatives/a/x.png/{sha256(GOOD)}"
    assert (kept.content, kept.metadata["sha256"]) == (GOOD, sha256(GOOD))


def test_ignored_keys_stay(world: World) -> None:
    world.pipelines["negatives"] = replace(FIRST, ignore=("._*", "Thumbs.db", "raw/*.tmp"))
    ignored = ["._x.png", "a/._x.png", "a/Thumbs.db", "raw/a/x.tmp"]
    others = ["x._png", "._a/x.png", "thumbs.db", "b/raw/x.tmp", "Thumbs.db.png"]
    for key in ignored + others:
        world.upload(key)
    world.run()
    assert world.left() == sorted(ignored)
    assert set(world.outcomes()) == set(others)


# Retries.


def quarantined_child(world: World) -> str:
    """Quarantine a result in the second pipeline, and return its job's id."""
    world.transforms = Transforms({GOOD[::-1]: failing(InvalidInput("bad"))})
    world.upload("x.png")
    world.run()
    world.run(pipeline="inverted")
    (result,) = world.ledger_of("inverted").results
    assert result.outcome == "quarantined"
    world.transforms = Transforms()
    return result.job.id


def put_back(world: World, old_id: str, round_number: int = 1) -> None:
    """Do what `jobs retry` does."""
    old = next(one for one in world.ledger_of("inverted").results if one.job.id == old_id)
    job = old.job
    key, digest = job.upload.key, old.input_sha256
    world.tables.retries[old_id] = RetryRow(
        "inverted", round_number, job.run_id, key, digest, job.parent
    )
    stored = quarantine.storage_key("inverted", key, digest)
    source = Source(QUARANTINE, stored, "", world.store.head(QUARANTINE, stored).etag)
    world.store.copy(source, READER_INPUT, key, "", {"retry": old_id})


def test_a_retry_keeps_run_and_parent(world: World) -> None:
    old_id = quarantined_child(world)
    put_back(world, old_id)
    world.run(pipeline="inverted")
    old, new = world.ledger_of("inverted").results
    assert (old.outcome, new.outcome) == ("quarantined", "done")
    assert (new.job.round, new.job.retry_of) == (1, old_id)
    assert (new.job.run_id, new.job.parent) == (old.job.run_id, old.job.parent)
    assert world.store.versions(QUARANTINE) == {}
    assert world.left("inverted") == []


def test_a_retry_that_fails_again_stays_in_quarantine(world: World) -> None:
    old_id = quarantined_child(world)
    world.transforms = Transforms({GOOD[::-1]: failing(InvalidInput("still bad"))})
    put_back(world, old_id)
    world.run(pipeline="inverted")
    assert [one.reason for one in world.ledger_of("inverted").results] == ["bad", "still bad"]
    _, note_key = world.store.versions(QUARANTINE)
    note = json.loads(world.store.versions(QUARANTINE)[note_key][0].content)
    assert note["reason"] == "still bad"
    world.transforms = Transforms()
    put_back(world, world.ledger_of("inverted").results[-1].job.id, 2)
    world.run(pipeline="inverted")
    assert [one.outcome for one in world.ledger_of("inverted").results][-1] == "done"
    assert world.store.versions(QUARANTINE) == {}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_during_a_retry(world: World, *, after: bool, tmp_path: Path) -> None:
    turn, was_killed = 0, True
    while was_killed:
        turn += 1
        world = chained(tmp_path, versioned=world.versioned)
        put_back(world, quarantined_child(world))
        was_killed = kill_a_pass(world, "inverted", Killer(turn, after=after))
        world.run(pipeline="inverted")
        assert len(world.ledger_of("inverted").results) == 2
        assert world.store.versions(QUARANTINE) == {}
        assert world.left("inverted") == []
    assert turn > 10


@pytest.mark.parametrize("fails", [False, True])
def test_an_upload_that_was_put_back_twice_has_one_job(versioned: World, *, fails: bool) -> None:
    """A client repeats a request whose response was lost."""
    old_id = quarantined_child(versioned)
    if fails:
        versioned.transforms = Transforms({GOOD[::-1]: failing(InvalidInput("still bad"))})
    put_back(versioned, old_id)
    put_back(versioned, old_id)
    counts = versioned.run(pipeline="inverted").counts
    assert counts["superfluous"] == 1
    assert versioned.left("inverted") == []
    assert len(versioned.ledger_of("inverted").results) == 2


def test_a_further_copy_of_a_quarantined_result_is_deleted(versioned: World) -> None:
    quarantined_child(versioned)
    (first,) = versioned.ledger.results
    metadata = {"run": first.job.id, "parent": first.job.id, "number": "1"}
    versioned.store.upload(READER_INPUT, "negated_x.png", GOOD[::-1], metadata=metadata)
    counts = versioned.run(pipeline="inverted").counts
    assert counts["superfluous"] == 1
    assert versioned.left("inverted") == []
    assert len(versioned.ledger_of("inverted").results) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_copies_of_a_result_under_several_keys_have_one_job(
    versioned: World, *, fails: bool
) -> None:
    """A user copied the object, or the reader got a second source before a copy was repeated."""
    if fails:
        versioned.transforms = Transforms({GOOD[::-1]: failing(InvalidInput("bad"))})
    versioned.upload("x.png")
    versioned.run()
    (first,) = versioned.ledger.results
    metadata = {"run": first.job.id, "parent": first.job.id, "number": "1"}
    key = "negatives/negated_x.png"
    versioned.store.upload(READER_INPUT, key, GOOD[::-1], metadata=metadata)
    for _ in range(2):
        versioned.run(threads=1, pipeline="inverted")  # the copies share a batch
    assert len(versioned.ledger_of("inverted").results) == 1
    assert versioned.left("inverted") == []


class KeepsQuarantine(MemoryStore):
    """A store that refuses to delete in the quarantine bucket, for example of locked objects."""

    def delete_if_unchanged(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        if bucket == QUARANTINE:
            raise UploadDeferred("The store refused the deletion.")
        super().delete_if_unchanged(bucket, key, version_id, etag)


def test_a_quarantined_copy_that_stays_affects_no_other_upload(tmp_path: Path) -> None:
    world = chained(tmp_path)
    world.use(KeepsQuarantine)
    put_back(world, quarantined_child(world))
    world.store.upload(READER_INPUT, "other.png", b"other")
    with pytest.raises(ServiceUnavailable, match=r"^The store refused the deletion\.$"):
        world.run(threads=1, pipeline="inverted")
    assert world.left("inverted") == ["negated_x.png"]
    outcomes = [one.outcome for one in world.ledger_of("inverted").results]
    assert outcomes == ["quarantined", "done", "done"]


# Leases.


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
    assert world.store.versions(READER_INPUT) == {}


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
    versioned.new_pass(1, "negatives", ledger).run(0)
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
    versioned.new_pass(ledger=ledger).run(0)
    assert versioned.left() == ["x.png"]
    assert versioned.outcomes() == {"x.png": "done"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("rows: 3 é".encode(), "rows: 3 é"),
        (b"x" * 16384, "x" * 16384),
        (b"x" * 16385, None),
        (b"\xff", None),
        (b"a\0b", None),
    ],
)
def test_small_texts_that_begin_a_chain_are_kept(
    versioned: World, content: bytes, text: str | None
) -> None:
    """They often configure all that follows."""
    versioned.upload("x.json", content)
    versioned.run()
    versioned.run(pipeline="inverted")
    (first,) = versioned.ledger.results
    (second,) = versioned.ledger_of("inverted").results
    assert (first.input_text, second.input_text) == (text, None)


def test_the_end_of_what_a_transform_printed_is_kept(versioned: World) -> None:
    printed = "é" * 9000 + "end"
    versioned.transforms = Transforms(
        {
            b"good": making(log=printed),
            b"bad": failing(InvalidInput("bad", printed)),
            b"silent": making(),
        }
    )
    for name in ("good", "bad", "silent"):
        versioned.upload(name, name.encode())
    versioned.run()
    logs = {one.upload.key: one.log for one in versioned.ledger.results}
    assert logs == {"good": printed[-8193:], "bad": printed[-8193:], "silent": None}


def test_the_log_of_a_file_that_crashes_is_kept(versioned: World) -> None:
    versioned.transforms = Transforms({GOOD: failing(TransformCrashed("signal 9", "line"))})
    versioned.upload("x.png")
    for _ in range(3):
        with suppress(ServiceUnavailable):
            versioned.run()
    (row,) = versioned.ledger.results
    assert (row.outcome, row.log) == ("quarantined", "line")
