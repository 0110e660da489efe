"""Pipelines that gather the results of a run: decisions, in memory."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker.gather_world import (
    CONFIGURATION,
    MODEL,
    SPLIT,
    SPLITS,
    STACK,
    TRAIN,
    begun,
    drop,
    gathered,
    gathering,
    put_file,
    retry,
    run_all,
    splitting,
    stack,
    states,
)
from tests.worker.world import INPUT, QUARANTINE, Transforms, World, failing, making
from worker.errors import InvalidInput, UploadDeferred
from worker.ledger.memory_tables import RetryRow
from worker.ledger.runs import Gather


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return gathering(tmp_path, is_versioned=request.param)


def test_one_job_reads_all_results_of_a_run(world: World) -> None:
    world.upload("a/configuration.json", CONFIGURATION)
    run_all(world)
    (first,), (job,) = world.ledger_of("split").results, world.ledger_of("model").results
    run = first.job.id
    keys = [f"a/configuration.json.{number}.png" for number in (1, 2, 3)]
    assert world.transforms.names[-1] == keys
    assert world.transforms.inputs[-1] == b"+".join(one[::-1] for one in SPLITS)
    (name,) = world.outputs("model")
    assert name == f"a/{run}/configuration.json.1.png"  # named after the run's first upload
    assert (job.job.run_id, job.job.upload.key) == (run, f"{run}.json")
    assert [world.left(name) for name in STACK] == [[], [], []]
    run_all(world)
    assert states(world) == ["done"]


def test_runs_are_gathered_apart(world: World) -> None:
    world.upload("one.json", CONFIGURATION)
    world.upload("two.json", CONFIGURATION)
    run_all(world)
    runs = {one.job.id: one.upload.key for one in world.ledger_of("split").results}
    assert set(world.outputs("model")) == {f"{run}/{key}.1.png" for run, key in runs.items()}
    keys = [[f"{name}.json.{number}.png" for number in (1, 2, 3)] for name in ("one", "two")]
    assert sorted(world.transforms.names[-2:]) == keys


@pytest.mark.parametrize("change", [retry, drop])
def test_a_quarantined_member_blocks_its_run(
    world: World, change: Callable[[World, str, str], object]
) -> None:
    bad = failing(InvalidInput("bad"))
    world.transforms = Transforms({CONFIGURATION: making(results=SPLITS), SPLITS[1]: bad})
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    run_all(world)
    assert states(world) == []
    world.transforms = splitting()
    change(world, "train", "x.json.2")
    run_all(world, "model")
    if change is retry:
        assert states(world) == []
    run_all(world, "train", "model")
    left = [1, 2, 3] if change is retry else [1, 3]
    assert states(world) == ["done"]
    assert gathered(world) == [[f"train/x.json.{number}.png" for number in left]]


def test_nothing_is_gathered_before_every_result_has_a_job(world: World) -> None:
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "model")
    assert states(world) == []
    deferred = {SPLITS[2]: failing(UploadDeferred("not now"))}
    world.transforms = Transforms(deferred)
    world.run_failing(pipeline="train")
    run_all(world, "model")
    assert states(world) == []
    world.transforms = splitting()
    run_all(world, "train", "model")
    assert states(world) == ["done"]


def test_a_run_without_results_is_not_gathered(tmp_path: Path) -> None:
    world = stack(tmp_path, **STACK)
    nothing = making(results=[])
    world.transforms = Transforms({CONFIGURATION: nothing})
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    world.transforms = Transforms(
        {CONFIGURATION: making(results=SPLITS)} | dict.fromkeys(SPLITS, nothing)
    )
    world.upload("y.json", CONFIGURATION)
    run_all(world)
    assert (states(world), gathered(world)) == ([], [])
    world.transforms = Transforms({CONFIGURATION: making(results=SPLITS), SPLITS[0]: nothing})
    world.upload("z.json", CONFIGURATION)
    run_all(world)
    assert gathered(world) == [[f"train/z.json.{number}.png" for number in (2, 3)]]


def diamond(folder: Path) -> World:
    """One upload is split; each part is trained and drawn; both results are gathered."""
    draw = replace(TRAIN, name="draw", input="draw-input", output="draw-output")
    return stack(
        folder,
        split=replace(SPLIT, readers=("train", "draw")),
        train=TRAIN,
        draw=draw,
        model=replace(MODEL, sources=("train", "draw")),
    )


def test_all_branches_are_awaited_and_named_by_their_pipelines(tmp_path: Path) -> None:
    world = diamond(tmp_path)
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train", "model")
    assert states(world) == []
    run_all(world, "draw", "model")
    names = [f"{name}/x.json.{n}.png" for name in ("train", "draw") for n in (1, 2, 3)]
    assert world.transforms.names[-1] == names
    assert gathered(world) == [names]


def test_a_branch_beside_the_gathered_one_is_awaited(tmp_path: Path) -> None:
    """Its results may lead to more members: `model` reads `train`, which reads `draw`, too."""
    draw = replace(TRAIN, name="draw", input="draw-input", output="draw-output", readers=("train",))
    world = stack(
        tmp_path,
        split=replace(SPLIT, readers=("train", "draw")),
        draw=draw,
        train=replace(TRAIN, sources=("split", "draw")),
        model=MODEL,
    )
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train", "model")
    assert states(world) == []
    run_all(world, "draw", "model")
    assert states(world) == []
    run_all(world, "train", "model")
    assert len(gathered(world)[0]) == 6


def test_a_first_pipelines_results_can_be_gathered(tmp_path: Path) -> None:
    world = stack(
        tmp_path,
        split=replace(SPLIT, readers=("model",)),
        model=replace(MODEL, sources=("split",)),
    )
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    assert world.transforms.names[-1] == ["x.json.1", "x.json.2", "x.json.3"]


def test_gathered_results_are_gathered_again(tmp_path: Path) -> None:
    report = replace(
        MODEL,
        name="report",
        input="report-input",
        output="report-output",
        sources=("train", "model"),
    )
    world = stack(
        tmp_path, **(STACK | {"model": replace(MODEL, readers=("report",))}), report=report
    )
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train", "report")
    assert states(world, "report") == []
    run_all(world, "model", "report")
    (run,) = {one.job.run_id for one in world.ledger_of("split").results}
    assert gathered(world, "report") == [
        [
            *(f"train/x.json.{number}.png" for number in (1, 2, 3)),
            f"model/{run}/x.json.1.png",
        ]
    ]
    assert states(world, "report") == ["done"]


def test_results_of_a_gather_are_read_by_the_next_pipeline(tmp_path: Path) -> None:
    last = replace(TRAIN, name="last", input="last-input", output="last-output")
    world = stack(
        tmp_path,
        **(STACK | {"model": replace(MODEL, readers=("last",))}),
        last=replace(last, sources=("model",), readers=()),
    )
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    (job,) = world.ledger_of("last").results
    (model,) = world.ledger_of("model").results
    assert (job.job.parent and job.job.parent.job_id, job.job.run_id) == (
        model.job.id,
        model.job.run_id,
    )


def test_a_newer_version_of_a_member_changes_nothing(tmp_path: Path) -> None:
    world = stack(tmp_path, **STACK)
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    world.store.upload(TRAIN.output, "x.json.2.png", b"another")
    run_all(world, "model")
    assert world.transforms.inputs[-1] == b"+".join(one[::-1] for one in SPLITS)


def test_a_retried_gather_has_the_same_members(world: World) -> None:
    world.transforms = Transforms(
        {
            CONFIGURATION: making(results=SPLITS),
            b"+".join(one[::-1] for one in SPLITS): failing(InvalidInput("bad")),
        }
    )
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    assert states(world) == ["quarantined"]
    world.transforms = splitting()
    (key,) = world.outcomes("model")
    retry(world, "model", key)
    run_all(world, "model")
    assert world.transforms.inputs == [b"+".join(one[::-1] for one in SPLITS)]
    assert states(world) == ["quarantined", "done"]
    assert world.store.versions(QUARANTINE) == {}


def test_an_upload_that_was_done_again_counts_once(world: World) -> None:
    """Put back from the archive: what was made of it before is not gathered."""
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    job, *_ = world.ledger_of("split").results
    world.tables.retries[job.job.id] = RetryRow(
        "split", 1, job.job.run_id, "x.json", job.input_sha256
    )
    run_all(world, "model")
    assert states(world) == []  # it waits for the retry
    world.store.upload(INPUT, "x.json", CONFIGURATION, metadata={"retry": job.job.id})
    world.transforms = Transforms({CONFIGURATION: making(results=[b"four"])})
    run_all(world)
    assert world.transforms.inputs[-1] == b"ruof"


def test_runs_that_ended_before_the_first_pass_are_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path, True, dict(STACK), transforms=splitting())
    world.upload("old.json", CONFIGURATION)
    run_all(world, "split", "train")
    world.upload("new.json", CONFIGURATION)
    run_all(world, "split")
    begun(world)  # from here on the pipeline `model` exists
    run_all(world)
    assert [names[0] for names in gathered(world)] == ["train/new.json.1.png"]


def test_the_file_of_a_run_is_json_that_names_the_members(world: World) -> None:
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    gather = put_file(world)
    ((version,),) = world.store.versions(MODEL.input).values()
    written = json.loads(version.content)
    assert (written["run"], written["pipeline"], written["key"]) == (gather.run, "model", "x.json")
    assert [one["key"] for one in written["members"]] == [
        f"x.json.{number}.png" for number in (1, 2, 3)
    ]
    assert Gather.read(version.content.decode()) == gather
