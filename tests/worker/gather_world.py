"""A stack in memory whose last pipeline gathers: split, train, model."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.worker.world import INPUT, QUARANTINE, Transforms, World, making
from worker.jobs.gather import Gatherer
from worker.ledger.ledger import DROPPED
from worker.ledger.memory_tables import RetryRow
from worker.ledger.runs import Gather
from worker.settings import Pipeline
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


def gathering(folder: Path, *, is_versioned: bool) -> World:
    """Return the stack after its first passes."""
    return begun(World(folder, is_versioned, dict(STACK), transforms=splitting()))


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
        for gather in (row.gather for row in world.tables.gathers.values())
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


def put_file(world: World, machine: str = "vm-1") -> Gather:
    """Let the file of the run be put, and nothing be processed; return its gather."""
    context = world.context("model", machine=machine)
    assert context.upstream
    assert context.requests
    Gatherer(context, context.upstream, context.requests).gather()
    context.requests.close()
    (row,) = world.tables.gathers.values()
    return row.gather
