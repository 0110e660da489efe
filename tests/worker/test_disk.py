"""Uploads that are too large for the disk, now or at all."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.worker.world import INPUT, QUARANTINE, World
from worker.jobs.disk import Disk, Space
from worker.store.memory_store import MemoryStore
from worker.store.store import ObjectInfo

LARGE = b"a large file " * 10


class CountingStore(MemoryStore):
    """A store that notes which objects were downloaded."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.downloaded: list[str] = []

    def read(
        self, bucket: str, key: str, version_id: str, etag: str, size: int
    ) -> tuple[ObjectInfo, str, bytes]:
        self.downloaded.append(key)
        return super().read(bucket, key, version_id, etag, size)


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made = World(tmp_path, request.param)
    made.use(CountingStore)
    return made


def test_an_upload_that_never_fits_is_quarantined_without_the_disk(world: World) -> None:
    assert isinstance(world.store, CountingStore)
    world.space = Space(free=100, capacity=200)
    world.upload("large.png", LARGE)
    world.upload("small.png")
    world.run()
    assert world.outcomes() == {"large.png": "quarantined", "small.png": "done"}
    assert world.store.downloaded == ["small.png"]
    (result,) = [one for one in world.ledger.results if one.reason]
    assert result.reason == (
        "it needs 260 bytes of disk, for itself and its results, and the machine has 200: "
        "split it, or use a flavor with a larger disk"
    )
    (stored,) = world.store.versions(QUARANTINE)[f"negatives/large.png/{result.input_sha256}"]
    assert stored.content == LARGE
    assert stored.content_type == "application/octet-stream"
    assert world.left() == []


def test_an_upload_that_does_not_fit_now_waits_for_space(world: World) -> None:
    world.space = Space(free=100, capacity=1000)
    world.upload("large.png", LARGE)
    world.upload("small.png")
    assert world.run_failing() == (
        "'large.png' needs 260 bytes of disk, for itself and its results, and 100 are free: free "
        "space on the machine."
    )
    assert world.outcomes() == {"small.png": "done"}
    world.space = Space(free=1000, capacity=1000)
    world.run()
    assert world.outcomes() == {"large.png": "done", "small.png": "done"}


def test_an_upload_that_is_deleted_before_it_is_quarantined_is_missing(world: World) -> None:
    class Deleting(CountingStore):
        def hash(self, bucket: str, key: str, version_id: str, etag: str) -> tuple[ObjectInfo, str]:
            found = super().hash(bucket, key, version_id, etag)
            self._remove(bucket, key, version_id)
            return found

    world.use(Deleting)
    world.space = Space(free=100, capacity=200)
    world.upload("large.png", LARGE)
    assert world.run().counts["missing"] == 1
    assert world.ledger.results == []
    assert world.ledger.unfinished_attempts(INPUT) == {}


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (50, ""),
        (51, "it needs 102 bytes of disk, for itself and its results, and the machine has 100: "),
        ((5 << 30) + 1, "its 5368709121 bytes are more than 5 GiB, the limit of a single PUT: "),
    ],
)
def test_what_a_machine_can_process(size: int, reason: str) -> None:
    excess = Space(free=0, capacity=100).excess(size) or ""
    assert bool(excess) == bool(reason)
    assert excess.startswith(reason)


def test_a_disk_that_others_filled_makes_no_upload_too_large(tmp_path: Path) -> None:
    """Half of the disk counts, even if less is free now."""
    space = Disk(tmp_path).measure()
    assert space.capacity >= shutil.disk_usage(tmp_path).total // 2
    assert space.capacity >= space.free > 0


def test_files_of_running_jobs_make_no_upload_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fits as soon as they have ended waits for them."""
    kind, free = type(shutil.disk_usage(tmp_path)), iter([80, 30])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: kind(100, 0, next(free)))
    disk = Disk(tmp_path)
    assert disk.measure() == Space(free=80, capacity=80)
    assert disk.measure() == Space(free=30, capacity=80)
