"""The decisions of a pass, on a store and a ledger in memory: fast, and without processes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.worker.world import (
    CRASH,
    GOOD,
    INPUT,
    NAMES,
    OUTPUT,
    QUARANTINE,
    TICK,
    Transforms,
    World,
    failing,
)
from worker.errors import (
    InvalidInput,
    ObjectMissing,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.jobs.result_metadata import read_metadata
from worker.store.memory_store import MemoryStore
from worker.store.store import Contents, ObjectInfo, Stored, Version


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, request.param)


@pytest.fixture
def versioned(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def unversioned(tmp_path: Path) -> World:
    return World(tmp_path, versioned=False)


def test_every_upload_is_transformed_recorded_and_deleted(world: World) -> None:
    contents = {f"{folder}/{n}.png": f"photo {n}".encode() for folder in "ab" for n in range(20)}
    for key, content in contents.items():
        world.upload(key, content)
    counts = world.run().counts
    assert counts["done"] == len(contents)
    assert world.left() == []
    for result in world.ledger.results:
        content = contents[result.upload.key]
        folder, _, name = result.upload.key.partition("/")
        (output,) = result.outputs
        assert output.key == f"{folder}/negated_{name}"
        assert world.outputs()[output.key] == content[::-1]
        assert result.input_sha256 == hashlib.sha256(content).hexdigest()
        assert output.sha256 == hashlib.sha256(content[::-1]).hexdigest()
        assert (result.input_bytes, output.bytes) == (len(content), len(content))
    assert len(world.ledger.results) == len(contents)
    assert world.ledger.unfinished_attempts(INPUT) == {}
    assert [problem for _, problem in world.ledger.tables.heartbeats.values()] == [None]
    assert world.transforms.closed
    assert list(world.folder.iterdir()) == []


def test_an_output_says_what_it_was_made_of(world: World) -> None:
    world.upload("x.png")
    world.run()
    (output,) = world.store.versions(OUTPUT)["negated_x.png"]
    assert output.content_type == "image/png"
    (result,) = world.ledger.results
    origin = read_metadata(output.metadata)
    assert output.metadata["sha256"] == hashlib.sha256(GOOD[::-1]).hexdigest()
    assert origin
    assert origin.input_sha256 == hashlib.sha256(GOOD).hexdigest()
    assert (origin.pipeline, origin.job, origin.number) == ("negatives", result.job, 1)
    assert (origin.maker, origin.machine, origin.fence) == (result.maker, "vm-1", result.fence)


def test_versions_of_a_key_are_processed_oldest_first(versioned: World) -> None:
    ids = [versioned.upload("x.png", f"photo {n}".encode()) for n in range(3)]
    versioned.run()
    assert [result.upload.version_id for result in versioned.ledger.results] == ids
    assert versioned.outputs() == {"negated_x.png": b"2 otohp"}
    assert versioned.left() == []


def test_what_the_user_deleted_is_not_processed(versioned: World) -> None:
    versioned.upload("gone.png")
    versioned.store.delete(INPUT, "gone.png")
    versioned.upload("back.png", b"older")
    versioned.store.delete(INPUT, "back.png")
    versioned.upload("back.png", b"newer")
    counts = versioned.run().counts
    assert versioned.transforms.inputs == [b"newer"]
    assert counts["withdrawn"] == 4
    assert versioned.left() == []


class CountingStore(MemoryStore):
    """A store that notes how many versions each request deletes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.deleted: list[int] = []

    def delete_versions(
        self, bucket: str, versions: Sequence[Version]
    ) -> dict[Version, UploadDeferred]:
        self.deleted.append(len(versions))
        return super().delete_versions(bucket, versions)


def test_uploads_of_different_keys_share_requests(versioned: World) -> None:
    versioned.use(CountingStore)
    assert isinstance(versioned.store, CountingStore)
    for number in range(24):
        versioned.upload(f"{number:02}.png")
    versioned.run(threads=4)
    assert sum(versioned.store.deleted) == 24
    assert len(versioned.store.deleted) <= 12


def test_what_was_deleted_under_many_keys_takes_few_requests(versioned: World) -> None:
    versioned.use(CountingStore)
    assert isinstance(versioned.store, CountingStore)
    for number in range(200):
        versioned.upload(f"{number:03}.png")
        versioned.store.delete(INPUT, f"{number:03}.png")
    versioned.upload("999.png")
    versioned.run(threads=4)
    assert versioned.left() == []
    assert versioned.transforms.inputs == [GOOD]
    assert sum(versioned.store.deleted) == 401
    assert len(versioned.store.deleted) < 40


def test_folder_markers_stay(world: World) -> None:
    world.upload("folder/", b"")
    world.run()
    assert world.left() == ["folder/"]


def test_invalid_input_is_quarantined_with_its_reason(world: World) -> None:
    world.transforms = Transforms({b"bad": failing(InvalidInput("it is not an image"))})
    world.upload("a/bad.png", b"bad")
    world.upload("good.png")
    world.run()
    assert world.outcomes() == {"a/bad.png": "quarantined", "good.png": "done"}
    assert world.left() == []
    quarantined = world.store.versions(QUARANTINE)
    key = f"negatives/a/bad.png/{hashlib.sha256(b'bad').hexdigest()}"
    assert list(quarantined) == [key, f"{key}.json"]
    assert quarantined[key][0].content == b"bad"
    assert quarantined[key][0].content_type == "application/octet-stream"
    note = json.loads(quarantined[f"{key}.json"][0].content)
    assert (note["reason"], note["key"]) == ("it is not an image", "a/bad.png")
    assert note["worker"] == "vm-1"


@pytest.mark.parametrize(("length", "outcome"), [(1016, "done"), (1017, "quarantined")])
def test_a_key_that_leaves_no_room_for_the_result_is_quarantined(
    world: World, length: int, outcome: str
) -> None:
    """`negated_` is 8 bytes; S3 allows 1,024."""
    world.upload("x" * length)
    world.run()
    assert world.outcomes() == {"x" * length: outcome}
    assert all(len(key) <= 1024 for key in world.store.versions(QUARANTINE))


def test_a_crash_beside_others_is_tried_alone_at_once(world: World) -> None:
    """The first crash may be another file's fault, so it does not count."""
    crashes = iter([TransformCrashed("signal 9")])

    def crash_once() -> None:
        for error in crashes:
            raise error

    world.transforms = Transforms({CRASH: crash_once})
    world.upload("x.png", CRASH)
    world.run()
    assert world.outcomes() == {"x.png": "done"}
    assert world.transforms.inputs == [CRASH, CRASH]


def test_a_file_is_quarantined_after_three_crashes_alone(world: World) -> None:
    world.transforms = Transforms({CRASH: failing(TransformCrashed("signal 9"))})
    world.upload("x.png", CRASH)
    world.upload("good.png")
    assert world.run_failing() == "'x.png' crashed its transform (1 of 3): signal 9"
    assert world.outcomes() == {"good.png": "done"}
    assert world.run_failing() == "'x.png' crashed its transform (2 of 3): signal 9"
    assert world.left() == ["x.png"]
    world.run()
    assert world.outcomes()["x.png"] == "quarantined"
    assert world.left() == []
    assert world.ledger.unfinished_attempts(INPUT) == {}


def test_an_upload_that_killed_the_worker_runs_alone(world: World) -> None:
    """What a killed worker leaves in the ledger is an attempt."""
    world.transforms = Transforms({CRASH: failing(SystemExit())})
    world.upload("x.png", CRASH)
    for _ in range(4):
        with pytest.raises(SystemExit):
            world.run()
    (attempt,) = world.ledger.unfinished_attempts(INPUT).values()
    assert attempt.crashes == 3
    world.upload("good.png")
    world.run()
    assert world.outcomes() == {"x.png": "quarantined", "good.png": "done"}
    (reason,) = [result.reason for result in world.ledger.results if result.reason]
    assert reason == "it crashed the worker or its transform 3 times, alone"


def test_an_attempt_on_what_the_user_deleted_is_forgotten(versioned: World) -> None:
    versioned.transforms = Transforms({CRASH: failing(TransformCrashed("signal 9"))})
    versioned.upload("x.png", CRASH)
    versioned.run_failing()
    versioned.store.delete(INPUT, "x.png")
    versioned.run()
    assert versioned.left() == []
    assert versioned.ledger.unfinished_attempts(INPUT) == {}


def test_a_deferred_upload_waits_and_counts_nothing(world: World) -> None:
    waiting = UploadDeferred("the kernels are not built yet")
    world.transforms = Transforms({b"later": failing(waiting)})
    world.upload("later.png", b"later")
    world.upload("good.png")
    assert world.run_failing() == "'later.png' is deferred: the kernels are not built yet."
    assert world.outcomes() == {"good.png": "done"}
    assert world.left() == ["later.png"]
    (attempt,) = world.ledger.unfinished_attempts(INPUT).values()
    assert (attempt.crashes, attempt.failures) == (0, 1)
    assert attempt.problem == "'later.png' is deferred: the kernels are not built yet."
    assert world.transforms.inputs.count(b"later") == 1


def test_newer_uploads_of_a_key_wait_for_one_that_failed(versioned: World) -> None:
    """The newest upload's output must be written last."""
    versioned.transforms = Transforms({b"later": failing(UploadDeferred("not yet"))})
    versioned.upload("x.png", b"later")
    versioned.upload("x.png", GOOD)
    versioned.run_failing()
    assert versioned.outputs() == {}
    assert len(versioned.store.versions(INPUT)["x.png"]) == 2


def test_a_bug_affects_only_its_upload(world: World) -> None:
    world.transforms = Transforms({b"odd": failing(KeyError("bug"))})
    world.upload("odd.png", b"odd")
    world.upload("good.png")
    assert world.run_failing() == "KeyError: 'bug'"
    assert world.outcomes() == {"good.png": "done"}
    (attempt,) = world.ledger.unfinished_attempts(INPUT).values()
    assert (attempt.crashes, attempt.problem) == (0, "KeyError: 'bug'")


def test_a_full_disk_ends_the_pass_and_blames_no_file(world: World) -> None:
    full = ServiceUnavailable("The transform could not work: No space left on device.")
    world.transforms = Transforms({GOOD: failing(full)})
    world.upload("x.png")
    assert world.run_failing() == str(full)
    assert world.left() == ["x.png"]
    assert world.ledger.unfinished_attempts(INPUT) == {}
    world.transforms = Transforms()
    world.run()
    assert world.outcomes() == {"x.png": "done"}


@pytest.mark.parametrize("kind", ["disk", "quarantine"])
def test_a_problem_of_the_machine_or_the_store_is_no_crash(world: World, kind: str) -> None:
    """Also of a file that runs alone, since the worker was killed while it was processed."""

    class FullStore(MemoryStore):
        is_full = True

        def put(self, bucket: str, *arguments: Any) -> Stored:
            if bucket == QUARANTINE and self.is_full:
                raise ServiceUnavailable("The bucket 'quarantine' is full.")
            return super().put(bucket, *arguments)

    world.use(FullStore)
    world.transforms = Transforms({CRASH: failing(SystemExit())})
    world.upload("x.png", CRASH)
    with pytest.raises(SystemExit):
        world.run()
    invalid, full = InvalidInput("it is no image"), OSError(28, "No space left on device")
    world.transforms = Transforms({CRASH: failing(full if kind == "disk" else invalid)})
    for _ in range(4):
        assert "full" in world.run_failing() or kind == "disk"
    FullStore.is_full = False
    world.transforms = Transforms({CRASH: failing(invalid)})
    world.run()
    assert [result.reason for result in world.ledger.results] == ["it is no image"]


def test_newer_uploads_wait_for_one_that_the_store_does_not_find_at_first(
    versioned: World,
) -> None:
    """The newest upload's output must be written last."""

    class Forgetful(MemoryStore):
        missed = 0

        def read(
            self, bucket: str, key: str, version_id: str, etag: str, size: int
        ) -> tuple[ObjectInfo, str, bytes]:
            if version_id == "1" and not self.missed:
                self.missed += 1
                raise ObjectMissing(key)
            return super().read(bucket, key, version_id, etag, size)

    versioned.use(Forgetful)
    versioned.schedule = replace(versioned.schedule, retry=(0.1, 300))
    versioned.upload("x.png", b"older")
    versioned.upload("x.png", b"newer")
    versioned.run_until(lambda: len(versioned.ledger.results) == 2 and not versioned.left())
    assert versioned.transforms.inputs == [b"older", b"newer"]
    assert versioned.outputs() == {"negated_x.png": b"rewen"}
    assert versioned.left() == []


def test_an_upload_that_the_store_never_finds_holds_up_no_newer_one_for_ever(
    versioned: World,
) -> None:
    class Blind(MemoryStore):
        def read(
            self, bucket: str, key: str, version_id: str, etag: str, size: int
        ) -> tuple[ObjectInfo, str, bytes]:
            if version_id == "1":
                raise ObjectMissing(key)
            return super().read(bucket, key, version_id, etag, size)

    versioned.use(Blind)
    versioned.schedule = replace(versioned.schedule, retry=(0.05, 300))
    versioned.upload("x.png", b"older")
    versioned.upload("x.png", b"newer")
    problem = "The bucket 'input' lists 'x.png', but does not find it."
    beats = versioned.tables.heartbeats
    inputs = versioned.transforms.inputs
    versioned.run_until(lambda: bool(inputs) and problem in [one for _, one in beats.values()])
    assert inputs == [b"newer"]


class RefusingStore(MemoryStore):
    """A store whose output bucket is full."""

    def put(
        self,
        bucket: str,
        key: str,
        contents: Contents,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> Stored:
        if bucket == OUTPUT:
            raise ServiceUnavailable("The bucket 'output' is full.")
        return super().put(bucket, key, contents, content_type, metadata)


def test_without_an_output_there_is_no_row_and_no_deletion(world: World) -> None:
    world.use(RefusingStore)
    world.upload("x.png")
    assert world.run_failing() == "The bucket 'output' is full."
    assert world.left() == ["x.png"]
    assert world.ledger.results == []


@pytest.mark.parametrize("missing", ["output", "quarantine"])
def test_nothing_is_read_unless_all_buckets_exist(world: World, missing: str) -> None:
    names = [name for name in NAMES if name != missing]
    world.store = MemoryStore(names, versioned=[INPUT] * world.versioned)
    world.upload("x.png")
    assert world.run_failing() == f"The bucket '{missing}' does not exist."
    assert world.transforms.inputs == []


class RacingStore(MemoryStore):
    """A store to which the user uploads again right before or after a deletion's HEAD."""

    race: bytes | None = None

    def head(self, bucket: str, key: str, version_id: str = "") -> ObjectInfo:
        if self.race is not None and bucket == INPUT:
            content, self.race = self.race, None
            self.upload(bucket, key, content)
        return super().head(bucket, key, version_id)

    def delete_if_unchanged(self, bucket: str, key: str, version_id: str, etag: str) -> None:
        if self.race is not None:
            content, self.race = self.race, None
            self.upload(bucket, key, content)
        super().delete_if_unchanged(bucket, key, version_id, etag)


@pytest.mark.parametrize("newer", [b"newer", GOOD], ids=["other bytes", "the same bytes"])
def test_a_newer_upload_without_versions_is_not_deleted(unversioned: World, newer: bytes) -> None:
    unversioned.use(RacingStore)
    assert isinstance(unversioned.store, RacingStore)
    unversioned.upload("x.png")
    unversioned.store.race = newer
    unversioned.run()
    assert unversioned.transforms.inputs == [GOOD, newer]
    assert len(unversioned.ledger.results) == 2
    assert unversioned.outputs() == {"negated_x.png": newer[::-1]}
    assert unversioned.left() == []


class RcloneLikeStore(MemoryStore):
    """A store that lists another Last-Modified than GET and HEAD report, as rclone does."""

    def head(self, bucket: str, key: str, version_id: str = "") -> ObjectInfo:
        return self._shifted(super().head(bucket, key, version_id))

    def read(
        self, bucket: str, key: str, version_id: str, etag: str, size: int
    ) -> tuple[ObjectInfo, str, bytes]:
        info, sha256, content = super().read(bucket, key, version_id, etag, size)
        return self._shifted(info), sha256, content

    @staticmethod
    def _shifted(info: ObjectInfo) -> ObjectInfo:
        assert info.last_modified
        return ObjectInfo(info.etag, info.last_modified + 1000 * TICK, info.size)


def test_an_upload_is_known_by_its_listing(unversioned: World) -> None:
    unversioned.use(RcloneLikeStore, checks_etag=False)
    unversioned.transforms = Transforms({CRASH: failing(TransformCrashed("signal 9"))})
    unversioned.upload("x.png", CRASH)
    (listed,) = unversioned.store.versions(INPUT)["x.png"]
    for _ in range(2):
        unversioned.run_failing()
    unversioned.run()
    (result,) = unversioned.ledger.results
    assert result.outcome == "quarantined"
    assert result.upload.last_modified == listed.last_modified
    assert unversioned.left() == []


def test_a_store_that_ignores_conditions_does_not_mix_uploads(unversioned: World) -> None:
    """Another object under the key is not what was listed: it is left for the next listing."""

    class Replacing(MemoryStore):
        replaced = False

        def read(
            self, bucket: str, key: str, version_id: str, etag: str, size: int
        ) -> tuple[ObjectInfo, str, bytes]:
            if not self.replaced:
                self.replaced = True
                self.upload(bucket, key, b"newer")
            return super().read(bucket, key, version_id, etag, size)

    unversioned.use(Replacing, checks_etag=False)
    unversioned.upload("x.png", b"older")
    counts = unversioned.run().counts
    assert counts["missing"] == 1
    assert [result.input_sha256 for result in unversioned.ledger.results] == [
        hashlib.sha256(b"newer").hexdigest()
    ]


def test_a_stopped_pass_leaves_its_uploads_and_counts_nothing(world: World) -> None:
    world.upload("x.png")
    stopping = world.new_pass()
    stopping.stop()
    with pytest.raises(PassInterrupted, match=r"stopped by a signal"):
        stopping.run()
    assert world.left() == ["x.png"]
    assert world.ledger.unfinished_attempts(INPUT) == {}
    world.transforms = Transforms()
    world.run()
    assert world.left() == []


def test_a_stopped_pass_without_work_has_not_failed(world: World) -> None:
    stopping = world.new_pass(linger=60)
    stopping.stop()
    stopping.run()
    assert [problem for _, problem in world.ledger.tables.heartbeats.values()] == [None]


@pytest.fixture
def thousand(versioned: World) -> Iterator[World]:
    for number in range(1001):
        versioned.upload("x.png", f"photo {number}".encode())
    yield versioned


def test_a_key_whose_versions_are_on_two_pages(thousand: World) -> None:
    thousand.store.delete(INPUT, "x.png")
    thousand.upload("x.png", b"last")
    thousand.run()
    assert thousand.transforms.inputs == [b"last"]
    assert thousand.left() == []
