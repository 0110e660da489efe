"""Retries in a chain: run, parent and copies in quarantine of what was put back."""

import json
from pathlib import Path

import pytest

from tests.worker.chain_world import SECOND, Killer, chained, kill_a_pass, versioned, world
from tests.worker.world import GOOD, QUARANTINE, Transforms, World, failing
from worker.errors import InvalidInput, ServiceUnavailable, UploadDeferred
from worker.jobs import quarantine
from worker.ledger.memory_tables import RetryRow
from worker.store.memory_store import MemoryStore
from worker.store.store import Source

__all__ = ["versioned", "world"]


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
    world.store.copy(source, SECOND.input, key, "", {"retry": old_id})


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
    versioned.store.upload(SECOND.input, "negated_x.png", GOOD[::-1], metadata=metadata)
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
    versioned.store.upload(SECOND.input, key, GOOD[::-1], metadata=metadata)
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
    world.store.upload(SECOND.input, "other.png", b"other")
    with pytest.raises(ServiceUnavailable, match=r"^The store refused the deletion\.$"):
        world.run(threads=1, pipeline="inverted")
    assert world.left("inverted") == ["negated_x.png"]
    outcomes = [one.outcome for one in world.ledger_of("inverted").results]
    assert outcomes == ["quarantined", "done", "done"]
