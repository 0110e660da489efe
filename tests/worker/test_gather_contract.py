"""What `Ledger` promises about runs and gathers, checked on its twin in memory and PostgreSQL.

The pipelines are `split` → `train` → `model`, which gathers, and `report`, which gathers both.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.worker.ledgers import Ledgers
from tests.worker.results import done, quarantined, record, start
from worker.jobs.run_progress import Cause, gather_of, obstacles
from worker.ledger.ledger import QUARANTINED, Claim, Ledger, Origin, Output, Result
from worker.ledger.memory_tables import RetryRow
from worker.ledger.runs import Gather, Run, RunResult, gather_id, upstream_of
from worker.settings import Pipeline
from worker.uploads.job import Job, Parent, first_job, job_id
from worker.uploads.upload import Upload

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PIPELINES = {
    "split": Pipeline("split", "copy", "split-in", "split-out", readers=("train",)),
    "train": Pipeline(
        "train", "copy", "train-in", "train-out", sources=("split",), readers=("model", "report")
    ),
    "model": Pipeline(
        "model",
        "copy",
        "model-in",
        "model-out",
        sources=("train",),
        readers=("report",),
        gather=True,
    ),
    "report": Pipeline(
        "report", "copy", "report-in", "report-out", sources=("train", "model"), gather=True
    ),
}
UPSTREAM = upstream_of(PIPELINES, "model")
FIRST = first_job("split", Upload("split-in", "é.json", "v", "e", START))
RUN = FIRST.run_id


def outputs(bucket: str, *keys: str) -> list[Output]:
    return [
        Output(number, bucket, key, "v", "e", "b" * 64, number, "text/plain")
        for number, key in enumerate(keys, 1)
    ]


def split(*keys: str, job: Job = FIRST) -> Result:
    return done(job.upload, "split", job=job, outputs=outputs("split-out", *keys))


def trained(number: int, *keys: str, parent: Job = FIRST) -> Result:
    upload = Upload("train-in", f"{parent.id}.{number}", "v", "e", START)
    job = Job(job_id("train", upload), upload, parent.run_id, parent=Parent(parent.id, number))
    return done(upload, job=job, outputs=outputs("train-out", *keys))


def refused(result: Result) -> Result:
    return replace(result, outcome=QUARANTINED, reason="bad", outputs=())


class Ledgers3:
    """The ledgers of the three pipelines."""

    def __init__(self, ledgers: Ledgers) -> None:
        self.all = ledgers
        self.split, self.train = (ledgers.open("vm-1", name) for name in ("split", "train"))
        self.model = ledgers.open("vm-1", "model")
        self.model.begin_gathering()

    def due(self, seconds: float | None = None) -> list[Gather]:
        """Return what is to be gathered now."""
        return [
            gather_of(run, UPSTREAM)
            for run in self.model.ended_runs(UPSTREAM, seconds)
            if not any(obstacles(run, UPSTREAM))
        ]


@pytest.fixture
def three(ledgers: Ledgers) -> Ledgers3:
    return Ledgers3(ledgers)


def members(*gathers: Gather) -> list[list[str]]:
    return [[one.key for one in gather.members] for gather in gathers]


def test_a_run_has_ended_when_every_result_has_a_done_job(three: Ledgers3) -> None:
    assert three.due() == []
    record(three.split, split("a", "b"))
    assert three.due() == []
    record(three.train, trained(2, "b2", "b1"))
    assert three.due() == []
    record(three.train, trained(1, "a1"))
    assert members(*three.due(), *three.due(3600)) == [["a1", "b1", "b2"]] * 2
    assert three.due(0) == []  # nothing has changed just now


def test_jobs_without_results_need_no_readers(three: Ledgers3) -> None:
    record(three.split, split("a", "b"))
    record(three.train, trained(1), trained(2, "b1"))
    assert members(*three.due()) == [["b1"]]


def test_a_gather_is_a_manifest_of_what_was_stored(three: Ledgers3) -> None:
    record(three.split, split("a"))
    made = trained(1, "one.txt", "two.txt")
    record(three.train, made)
    (gather,) = three.due()
    assert (gather.pipeline, gather.run, gather.key) == ("model", RUN, "é.json")
    assert list(gather.members) == [
        RunResult("train", made.job.id, number, "train-out", key, "v", "e", "b" * 64, number)
        for number, key in ((1, "one.txt"), (2, "two.txt"))
    ]
    assert three.model.gather([gather]) == [gather]
    assert three.model.gathers([gather.id, "another"]) == {gather.id: gather}
    assert three.model.gathered_bytes([RUN, "another"]) == {RUN: 3}
    assert three.train.gathers([gather.id]) == {}


def test_a_quarantined_job_blocks_until_it_is_dropped(three: Ledgers3) -> None:
    record(three.split, split("a", "b"))
    bad = refused(trained(1))
    record(three.train, bad, trained(2, "b1"))
    assert three.due() == []
    three.all.drop(bad.job)
    assert members(*three.due()) == [["b1"]]


def test_a_quarantined_job_blocks_until_its_retry_is_done(three: Ledgers3) -> None:
    record(three.split, split("a"))
    bad = refused(trained(1))
    record(three.train, bad)
    old = bad.job
    row = RetryRow("train", 1, RUN, old.upload.key, "a" * 64, old.parent)
    three.all.add_retry(old.id, row)
    assert three.due() == []
    again = Job(job_id("train", old.upload, 1), old.upload, RUN, 1, old.parent, old.id)
    record(three.train, replace(trained(1, "a1"), job=again))
    assert members(*three.due()) == [["a1"]]


def test_only_what_was_made_last_counts(three: Ledgers3) -> None:
    """A done upload was put back from the archive, and has other results now."""
    record(three.split, split("a"))
    record(three.train, trained(1, "old"))
    three.all.add_retry(FIRST.id, RetryRow("split", 1, RUN, FIRST.upload.key, "a" * 64))
    assert three.due() == []
    again = Job(job_id("split", FIRST.upload, 1), FIRST.upload, RUN, 1, None, FIRST.id)
    record(three.split, split("a", job=again))
    assert three.due() == []
    record(three.train, trained(1, "new", parent=again))
    assert members(*three.due()) == [["new"]]


def test_stored_results_without_a_row_are_awaited(three: Ledgers3) -> None:
    (first,) = start(three.split, split("a"))
    assert three.split.prepare(first)
    record(three.train, trained(1, "a1"))
    assert three.due() == []
    three.split.record([first])
    assert members(*three.due()) == [["a1"]]
    (again,) = start(three.split, split("a", "b"))  # after an hour, the listing wins
    assert three.split.prepare(again)
    assert three.due() == []


def test_a_run_is_gathered_by_one_machine(three: Ledgers3) -> None:
    other = three.all.open("vm-2", "model")
    other.begin_gathering()
    record(three.split, split("a"))
    record(three.train, trained(1, "a1"))
    (gather,) = three.due()
    assert three.model.gather([gather]) == [gather]
    assert three.due() == []
    assert (other.gather([gather]), other.gather([])) == ([], [])
    assert three.model.gather([]) == [gather]  # it was killed, and continues
    three.all.age_gathers()
    assert other.gather([]) == [gather]
    assert three.model.gather([]) == []
    other.note_gathered([gather])
    three.all.age_gathers()
    assert (other.gather([]), three.model.gather([])) == ([], [])


def test_runs_that_ended_before_the_first_pass_are_left_alone(ledgers: Ledgers) -> None:
    record(ledgers.open("vm-1", "split"), split("a"))
    record(ledgers.open("vm-1", "train"), trained(1, "a1"))
    ledgers.age_results()
    three = Ledgers3(ledgers)
    assert (three.due(), three.due(10**6)) == ([], [])
    record(three.train, trained(1, "a1"))
    assert members(*three.due()) == [["a1"]]


def test_the_gather_of_a_pipeline_upstream_is_awaited(three: Ledgers3) -> None:
    report, upstream = three.all.open("vm-1", "report"), upstream_of(PIPELINES, "report")
    report.begin_gathering()

    def waits() -> list[tuple[Cause, str]]:
        (run,) = report.ended_runs(upstream, None)
        return [(one.cause, one.pipeline) for one in obstacles(run, upstream)]

    record(three.split, split("a"))
    record(three.train, trained(1, "a1"))
    assert waits() == [(Cause.NOT_GATHERED, "model")]
    (gather,) = three.due()
    three.model.gather([gather])
    assert waits() == [(Cause.NOT_GATHERED, "model")]
    upload = Upload("model-in", f"{RUN}.json", "v", "e", START)
    job = Job(job_id("model", upload), upload, RUN, parent=Parent(gather.id, 1))
    record(three.model, done(upload, job=job, outputs=outputs("model-out", "m")))
    assert waits() == []
    (run,) = report.ended_runs(upstream, None)
    assert members(gather_of(run, upstream)) == [["a1", "m"]]


def test_the_file_of_a_run_is_believed_if_the_ledger_has_it(three: Ledgers3) -> None:
    record(three.split, split("a"))
    record(three.train, trained(1, "a1"))
    (gather,) = three.due()
    upload = Upload("model-in", f"{RUN}.json", "v", "e", START)
    sha256 = hashlib.sha256(gather.manifest.encode()).hexdigest()
    parent = Parent(gather_id("model", RUN), 1)
    claim = Claim(upload, sha256, parent=parent)
    assert three.model.find_origins([claim], ["train"]) == {}
    three.model.gather([gather])
    origin = Origin(RUN, 0, parent)
    assert three.model.find_origins([claim], ["train"]) == {upload: origin}
    for forged in (
        replace(claim, sha256="c" * 64),
        replace(claim, parent=Parent(parent.job_id, 2)),
        replace(claim, parent=Parent("0" * 32, 1)),
    ):
        assert three.model.find_origins([forged], ["train"]) == {}
    assert three.train.find_origins([claim], ["split"]) == {}
    job = Job(job_id("model", upload), upload, RUN, parent=parent)
    record(three.model, done(upload, job=job))
    copy = replace(claim, upload=replace(upload, version_id="v2"))
    (origin,) = three.model.find_origins([copy], ["train"]).values()
    assert origin.successor == job.id


def test_the_text_of_an_input_is_kept(ledger: Ledger) -> None:
    upload = Upload("input", "x.json", "v", "e", START)
    (made,) = start(ledger, quarantined(upload, input_text="rows: 3", log="line\0"))
    assert ledger.prepare(made)
    found = ledger.start([made.job], alone=False)[made.job.id].prepared
    assert found and found.input_text == "rows: 3"


def test_an_empty_run_is_what_nobody_knows() -> None:
    assert list(obstacles(Run("r"), UPSTREAM)) == []
    assert gather_of(Run("r"), UPSTREAM) == Gather("model", "r", "r.json", [])
