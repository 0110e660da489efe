"""Pipelines that read other pipelines' results, retries, leases: decisions, in memory."""

from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.worker.chain_world import (
    FIRST,
    SECOND,
    Killer,
    chained,
    kill_a_pass,
    sha256,
    versioned,
    world,
)
from tests.worker.world import ARCHIVE, GOOD, INPUT, QUARANTINE, Transforms, World, failing, making
from worker.errors import InvalidInput, ServiceUnavailable, TransformCrashed
from worker.jobs import quarantine
from worker.settings import Pipeline
from worker.uploads.job import Parent

__all__ = ["versioned", "world"]


def test_a_result_is_read_by_the_next_pipeline(world: World) -> None:
    world.upload("a/x.png")
    world.run()
    assert world.left() == []
    assert world.outputs() == {"a/negated_x.png": GOOD[::-1]}  # it stays where it is
    ((copy,),) = world.store.versions(SECOND.input).values()
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
    assert list(world.store.versions(SECOND.input)) == keys
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
    assert list(world.store.versions(SECOND.input)) == ["copies/x.png", "negatives/x.png"]


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
    versioned.store.upload(SECOND.input, "forged.png", GOOD[::-1], metadata=metadata)
    versioned.run(pipeline="inverted")
    forged = versioned.ledger_of("inverted").results[-1].job
    assert (forged.run_id, forged.parent, forged.retry_of) == (forged.id, None, None)
    assert versioned.left("inverted") == []


def test_metadata_of_another_content_or_pipeline_is_ignored(versioned: World) -> None:
    versioned.upload("x.png")
    versioned.run()
    (first,) = versioned.ledger.results
    metadata = {"run": first.job.id, "parent": first.job.id, "number": "1"}
    versioned.store.upload(SECOND.input, "other.png", b"other bytes", metadata=metadata)
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
    world.store.upload(SECOND.input, "negated_x.png", b"somebody's")
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
    world.store.upload(SECOND.input, "negated_x.png", b"somebody's")
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
