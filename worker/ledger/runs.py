"""Runs: what the ledger knows about everything that was made from one upload, and gathers of it."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from worker.settings import Pipeline

_ID_DIGITS = 32
_MANIFEST_SUFFIX = ".json"


@dataclass(frozen=True)
class RunJob:
    """A job of a run.

    Attributes:
        id: The job's id.
        pipeline: Its pipeline.
        key: The key of its upload.
        state: Its outcome; WAITING if its results are stored and it is not recorded.
        reason: Why it was quarantined.
        parent_id: The job or gather that made its upload, None in a first pipeline.
        parent_number: The number of that result.
        retry_of: The job that it repeats.
        is_put_back: Whether its upload was put back, and no job on that is recorded yet.
    """

    id: str
    pipeline: str
    key: str
    state: str
    reason: str | None = None
    parent_id: str | None = None
    parent_number: int | None = None
    retry_of: str | None = None
    is_put_back: bool = False


@dataclass(frozen=True)
class RunResult:
    """An object that a job of a run stored.

    Attributes:
        pipeline: The job's pipeline.
        job: The job's id.
        number: Its number among the job's results, from 1.
        bucket: The bucket.
        key: The object key.
        version_id: "" where the bucket has no versions.
        etag: Without quotes.
        sha256: In hex.
        bytes: Its size.
    """

    pipeline: str
    job: str
    number: int
    bucket: str
    key: str
    version_id: str
    etag: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Run:
    """What is recorded of a run.

    Attributes:
        id: The id of its first job.
        jobs: Its jobs, also those that are not recorded but have stored results.
        results: The objects that done jobs stored.
        gathers: The id of its gather, by the pipeline that gathers.
    """

    id: str
    jobs: Sequence[RunJob] = ()
    results: Sequence[RunResult] = ()
    gathers: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of its first upload; of the run's file, if the database lost that row."""
        return next((one.key for one in self.jobs if one.id == self.id), manifest_key(self.id))


@dataclass(frozen=True)
class Gather:
    """The results of a run that are the input of one job: a row of the table `gathers`.

    Attributes:
        pipeline: The pipeline that gathers.
        run: The run's id.
        key: Of the run's first upload: results are named after it.
        members: The results.
    """

    pipeline: str
    run: str
    key: str
    members: Sequence[RunResult]

    @property
    def id(self) -> str:
        """The gather's id, as if a job had made the run's file: known before any row exists."""
        return gather_id(self.pipeline, self.run)

    @property
    def bytes(self) -> int:
        """The size of all members."""
        return sum(one.bytes for one in self.members)

    @cached_property
    def manifest(self) -> str:
        """The run's file: JSON, always the same bytes for a gather."""
        content = {
            "run": self.run,
            "pipeline": self.pipeline,
            "key": self.key,
            "members": [asdict(one) for one in self.members],
        }
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def read(cls, manifest: str) -> "Gather":
        """Return the gather that a manifest of the ledger describes."""
        values = json.loads(manifest)
        members = [RunResult(**one) for one in values.pop("members")]
        return cls(**values, members=members)


def gather_id(pipeline: str, run: str) -> str:
    """Return the id of a gather: 128 bits in hex, as of a job."""
    return hashlib.sha256(f"gather\0{pipeline}\0{run}".encode()).hexdigest()[:_ID_DIGITS]


def manifest_key(run: str) -> str:
    """Return the key of a run's file in the input bucket of a pipeline that gathers."""
    return run + _MANIFEST_SUFFIX


def run_of_manifest(key: str) -> str:
    """Return the run that a key may be the manifest of."""
    return key.removesuffix(_MANIFEST_SUFFIX)


@dataclass(frozen=True)
class Upstream:
    """What is upstream of a pipeline that gathers.

    Attributes:
        gatherer: The pipeline that gathers.
        sources: The pipelines whose results it gathers, in the order of the settings.
        pipelines: All pipelines from which results reach it.
        readers: Of these, (source, reader) where the reader gets a copy of each result.
        gatherers: Of these, those that gather, with the pipelines whose results they gather.
    """

    gatherer: str
    sources: Sequence[str]
    pipelines: Collection[str]
    readers: Collection[tuple[str, str]]
    gatherers: Mapping[str, Sequence[str]]

    @property
    def first_pipelines(self) -> list[str]:
        """Those that read no results: runs begin with an upload to one of them."""
        return sorted({*self.pipelines} - {name for _, name in self.readers} - {*self.gatherers})


def upstream_of(pipelines: Mapping[str, Pipeline], gatherer: str) -> Upstream:
    """Return what is upstream of a pipeline that gathers."""
    found: dict[str, Pipeline] = {}
    pending = list(pipelines[gatherer].sources)
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = pipelines[name]
            pending += pipelines[name].sources
    return _among(gatherer, pipelines[gatherer].sources, found.values())


def whole_stack(pipelines: Mapping[str, Pipeline]) -> Upstream:
    """Return all pipelines of a stack, as if one pipeline gathered the results of all."""
    return _among("", list(pipelines), pipelines.values())


def _among(gatherer: str, sources: Sequence[str], pipelines: Collection[Pipeline]) -> Upstream:
    return Upstream(
        gatherer,
        sources,
        frozenset(one.name for one in pipelines),
        [(source, one.name) for one in pipelines if not one.gather for source in one.sources],
        {one.name: one.sources for one in pipelines if one.gather},
    )


def run_from_row(row: Mapping[str, Any]) -> Run:
    """Return the run that a row of sql/runs.sql describes."""
    return Run(
        row["run_id"],
        [RunJob(**job) for job in row["jobs"]],
        [RunResult(**result) for result in row["results"]],
        row["gathers"],
    )
