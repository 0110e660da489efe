"""Pipelines that gather the results of a run: decisions, in memory."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.worker.world import INPUT, QUARANTINE, Transforms, World, failing, making
from worker.errors import InvalidInput, ServiceUnavailable, UploadDeferred
from worker.jobs.disk import Space
from worker.jobs.gather import Gatherer
from worker.ledger.ledger import DROPPED
from worker.ledger.memory_ledger import RetryRow
from worker.ledger.runs import Gather, upstream_of
from worker.settings import Pipeline
from worker.store.memory_store import MemoryStore
from worker.store.store import Source

CONFIGURATION = b"rows: 3\n"
SPLITS = [b"one", b"two", b"three"]
SPLIT = Pipeline(
    "split", "negate", INPUT, "split-output", output_key="{name}.{number}", readers=("train",)
)
TRAIN = Pipeline(
    "train", "negate", "train-input", "train-output", sources=("split",), readers=("model",)
)
MODEL = Pipeline(
    "model",
    "negate",
    "model-input",
    "model-output",
    output_key="{run}/{name}.{number}.{ext}",
    sources=("train",),
    gather=True,
)
STACK = {"split": SPLIT, "train": TRAIN, "model": MODEL}


def splitting() -> Transforms:
    return Transforms({CONFIGURATION: making(results=SPLITS)})


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return begun(World(tmp_path, request.param, dict(STACK), transforms=splitting()))


def begun(world: World) -> World:
    """Let the pipelines that gather make their first passes."""
    for name, pipeline in world.pipelines.items():
        if pipeline.gather:
            world.run(pipeline=name)
    return world


def stack(folder: Path, **pipelines: Pipeline) -> World:
    return begun(World(folder, True, pipelines, transforms=splitting()))


def run_all(world: World, *names: str) -> None:
    for name in names or world.pipelines:
        world.run(pipeline=name)


def gathered(world: World, pipeline: str = "model") -> list[list[str]]:
    """Return the members of each gather, as names."""
    return [
        [f"{one.pipeline}/{one.key}" for one in gather.members]
        for _, _, gather, _ in world.tables.gathers.values()
        if gather.pipeline == pipeline
    ]


def states(world: World, pipeline: str = "model") -> list[str]:
    return [one.outcome for one in world.ledger_of(pipeline).results]


def retry(world: World, pipeline: str, key: str) -> str:
    """Put a quarantined upload back, as `jobs retry` does; return the id of its job."""
    settings = world.pipelines[pipeline]
    (job,) = (one for one in world.ledger_of(pipeline).results if one.upload.key == key)
    stored = f"{pipeline}/{key}/{job.input_sha256}"
    world.tables.retries[job.job.id] = RetryRow(
        pipeline, job.job.round + 1, job.job.run_id, key, job.input_sha256, job.job.parent
    )
    etag = world.store.head(QUARANTINE, stored).etag
    source = Source(QUARANTINE, stored, "", etag)
    world.store.copy(source, settings.input, key, "", {"retry": job.job.id})
    return job.job.id


def drop(world: World, pipeline: str, key: str) -> None:
    for place, (_, machine, result) in world.tables.results.items():
        if (place[0], result.upload.key) == (pipeline, key):
            row = (datetime.now(UTC), machine, replace(result, outcome=DROPPED))
            world.tables.results[place] = row


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


FORGED = (
    "it is not a file that 'model' gathers a run from: this pipeline reads the results of train, "
    "so upload it there"
)


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


def put_file(world: World, machine: str = "vm-1") -> Gather:
    """Let the file of the run be put, and nothing be processed; return its gather."""
    context = world.context("model", machine=machine)
    Gatherer(context, upstream_of(world.pipelines, "model")).gather()
    ((_, _, gather, _),) = world.tables.gathers.values()
    return gather


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
    ((_, _, (job, *_)),) = [(0, 0, world.ledger_of("split").results)]
    world.tables.retries[job.job.id] = RetryRow(
        "split", 1, job.job.run_id, "x.json", job.input_sha256
    )
    run_all(world, "model")
    assert states(world) == []  # it waits for the retry
    world.store.upload(INPUT, "x.json", CONFIGURATION, metadata={"retry": job.job.id})
    world.transforms = Transforms({CONFIGURATION: making(results=[b"four"])})
    run_all(world)
    assert world.transforms.inputs[-1] == b"ruof"


def test_members_of_one_name_are_refused(tmp_path: Path) -> None:
    train = replace(TRAIN, output_key="same.{name:.0}")
    world = stack(tmp_path, **(STACK | {"train": train}))
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    (job,) = world.ledger_of("model").results
    assert job.reason and job.reason.startswith("3 members have the key 'same.' (jobs ")


def test_runs_that_ended_before_the_first_pass_are_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path, True, dict(STACK), transforms=splitting())
    world.upload("old.json", CONFIGURATION)
    run_all(world, "split", "train")
    world.upload("new.json", CONFIGURATION)
    run_all(world, "split")
    begun(world)  # from here on the pipeline `model` exists
    run_all(world)
    assert [names[0] for names in gathered(world)] == ["train/new.json.1.png"]


def test_one_of_two_machines_gathers_a_run(world: World) -> None:
    world.upload("x.json", CONFIGURATION)
    run_all(world, "split", "train")
    passes = [world.new_pass(pipeline="model", machine=f"vm-{n}") for n in (1, 2)]
    for one in passes:
        assert one._gatherer
        one._gatherer.gather()
    (versions,) = world.store.versions(MODEL.input).values()
    assert len(versions) == 1
    for one in passes:
        one.run(0)
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
    world.store.versions(MODEL.input)
    world.new_pass(pipeline="model", machine="vm-2").run(0)
    before = states(world)
    world.expire_gathers()
    world.new_pass(pipeline="model", machine="vm-2").run(0)
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


def test_a_gather_that_the_database_lost_is_not_done_twice(world: World) -> None:
    """As after a backup was restored, and `rebuild-log` has added the row of its job."""
    world.upload("x.json", CONFIGURATION)
    run_all(world)
    world.tables.gathers.clear()
    run_all(world, "model", "model")
    assert (states(world), world.left("model")) == (["done"], [])
