"""`jobs retry` and `jobs drop`: quarantined uploads come back or go, and nothing else does."""

import json

import pytest

from tests.worker.jobs import PNG, changed, listed, quarantine, shown
from tests.worker.pictures import decode, error, negated
from tests.worker.pipeline import Pipeline


def test_a_retried_job_ends_well(pipeline: Pipeline) -> None:
    old = quarantine(pipeline, "a/cat.png")
    assert changed(pipeline, "retry", old[:8]) == [None]
    assert len(pipeline.keys(pipeline.quarantine)) == 2  # until the upload is done
    waiting = listed(pipeline, "--state", "waiting")
    assert [(row["key"], row["run"]) for row in waiting] == [("a/cat.png", old)]
    pipeline.drain()
    assert error(decode(pipeline.get("a/negated_cat.png")), negated(PNG)) == 0
    assert (pipeline.left(), pipeline.keys(pipeline.quarantine)) == ([], [])
    before, after = listed(pipeline)
    assert (before["state"], after["state"]) == ("quarantined", "done")
    assert (after["id"], after["run"]) == (waiting[0]["id"], old)
    assert listed(pipeline, "--state", "quarantined") == []
    assert json.loads(pipeline.run("status", "--json").stdout)["quarantined"] == 0
    assert shown(pipeline, after["id"])["retry_of"] == old
    found = shown(pipeline, old)
    assert found["retried_by"] == after["id"]
    assert [one["event"] for one in found["timeline"]][:2] == ["uploaded", "quarantined"]
    (problem,) = changed(pipeline, "retry", old)
    assert problem == (
        f"Job {old[:12]} ('a/cat.png') was not retried: job {after['id'][:12]} repeated it and is "
        "done."
    )


def test_a_retry_may_fail_again_and_be_repeated(versioned: Pipeline) -> None:
    old = quarantine(versioned, "cat.png")
    versioned.configure(limits={"pixels": 383})
    assert changed(versioned, "retry", old) == [None]
    versioned.drain()
    (again,) = listed(versioned, "--state", "quarantined")
    assert again["id"] != old
    for verb in ("retry", "drop"):
        (problem,) = changed(versioned, verb, old)
        assert problem is not None
        assert f"is quarantined; use {again['id'][:12]}." in problem
    versioned.configure()
    assert changed(versioned, "retry", again["id"]) == [None]
    versioned.drain()
    assert versioned.keys(versioned.output) == ["negated_cat.png"]
    assert versioned.keys(versioned.quarantine) == []
    assert {row["run"] for row in listed(versioned)} == {old}


def test_repeating_a_retry_puts_back_nothing_more(pipeline: Pipeline) -> None:
    old = quarantine(pipeline, "cat.png")
    for _ in range(2):
        assert changed(pipeline, "retry", old) == [None]
        assert pipeline.left() == ["cat.png"]
    pipeline.s3.delete_object(Bucket=pipeline.input, Key="cat.png")
    assert changed(pipeline, "retry", old) == [None]  # the user had deleted it
    pipeline.drain()
    assert [row["outcome"] for row in pipeline.rows()] == ["quarantined", "done"]


def test_retry_all_quarantined_jobs_or_those_of_a_run(versioned: Pipeline) -> None:
    first, second = quarantine(versioned, "a.png"), quarantine(versioned, "b.png", PNG + b"\0")
    assert changed(versioned, "retry", "--run", first) == [None]
    assert versioned.left() == ["a.png"]
    assert changed(versioned, "retry", "--state", "quarantined") == [None, None]
    assert versioned.left() == ["a.png", "b.png"]
    versioned.drain()
    assert changed(versioned, "retry", "--state", "quarantined") == []
    assert shown(versioned, second)["retried_by"]


def test_drop_deletes_the_copy_and_its_note(pipeline: Pipeline) -> None:
    old = quarantine(pipeline, "cat.png")
    assert changed(pipeline, "drop", old) == [None]
    assert pipeline.keys(pipeline.quarantine) == []
    (row,) = listed(pipeline, "--state", "dropped")
    assert row["id"] == old
    assert json.loads(pipeline.run("status", "--json").stdout)["quarantined"] == 0
    assert shown(pipeline, old)["timeline"][-1]["event"] == "dropped"
    for verb in ("drop", "retry"):
        (problem,) = changed(pipeline, verb, old)
        assert problem is not None
        assert "it is dropped, and only quarantined " in problem


@pytest.mark.parametrize("verb", ["drop", "retry"])
def test_jobs_with_the_same_content_share_a_copy(versioned: Pipeline, verb: str) -> None:
    first, second = quarantine(versioned, "cat.png"), quarantine(versioned, "cat.png")
    assert first != second
    for expected, job in ((2, first), (0, second)):
        assert changed(versioned, verb, job, "--force") == [None]
        if verb == "retry":
            versioned.drain()
        assert len(versioned.keys(versioned.quarantine)) == expected
    outcomes = ["dropped"] * 2 if verb == "drop" else ["quarantined"] * 2 + ["done"] * 2
    assert [row["outcome"] for row in versioned.rows()] == outcomes


def test_a_job_that_was_put_back_can_be_dropped(versioned: Pipeline) -> None:
    """The upload that waits goes, too: the job does not end as both dropped and done."""
    old = quarantine(versioned, "cat.png")
    assert changed(versioned, "retry", old) == [None]
    (problem,) = changed(versioned, "drop", old)
    assert problem is not None
    assert f"it was put back and waits in {versioned.input}; wait until" in problem
    assert changed(versioned, "drop", old, "--force") == [None]
    versioned.drain()
    assert [row["outcome"] for row in versioned.rows()] == ["dropped"]
    assert (versioned.left(), versioned.keys(versioned.output)) == ([], [])
    assert versioned.keys(versioned.quarantine) == []


def test_jobs_of_a_deleted_pipeline(versioned: Pipeline) -> None:
    first, second = quarantine(versioned, "a.png"), quarantine(versioned, "b.png", PNG + b"\0")
    versioned.sql("UPDATE pipeline.results SET pipeline = 'gone'")
    bucket = versioned.quarantine
    for key in versioned.keys(bucket):
        versioned.s3.copy_object(
            Bucket=bucket,
            Key=key.replace("negatives/", "gone/"),
            CopySource={"Bucket": bucket, "Key": key},
        )
        versioned.s3.delete_object(Bucket=bucket, Key=key)
    problems = changed(versioned, "retry", first, second)
    assert [problem and problem.partition(": ")[2] for problem in problems] == [
        "its pipeline 'gone' was deleted; create it again first."
    ] * 2
    assert changed(versioned, "drop", "--state", "quarantined") == [None, None]
    assert versioned.keys(bucket) == []


def test_a_drop_waits_for_the_machine_that_works_on_the_key(versioned: Pipeline) -> None:
    old = quarantine(versioned, "cat.png")
    (lease,) = versioned.sql(
        "INSERT INTO pipeline.leases "
        "(stack, pipeline, key_sha256, key, job_id, fence, machine, until) "
        "SELECT stack, pipeline, key_sha256, key, job_id, nextval('pipeline.fences'), 'vm-2', "
        "now() + interval '5 seconds' FROM pipeline.results RETURNING until"
    )
    assert changed(versioned, "drop", old) == [None]
    (row,) = versioned.rows()
    assert row["dropped_at"] > lease["until"]


def archived(pipeline: Pipeline, key: str) -> str:
    """Process an upload whose input is kept, and return its job's id."""
    archive = f"{pipeline.name}-archive"
    if "store" not in pipeline.tables:
        pipeline.make_bucket(archive)
        pipeline.tables = {"store": {"archive": archive}, "pipeline": {"keep_inputs": True}}
        pipeline.configure()
    pipeline.put(key, PNG)
    pipeline.drain()
    (*_, row) = listed(pipeline, "--state", "done")
    return str(row["id"])


def test_a_kept_input_is_processed_again(pipeline: Pipeline) -> None:
    old = archived(pipeline, "a/cat.png")
    kept = pipeline.keys(f"{pipeline.name}-archive")
    pipeline.s3.delete_object(Bucket=pipeline.output, Key="a/negated_cat.png")
    assert changed(pipeline, "retry", old) == [None]
    pipeline.drain()
    assert error(decode(pipeline.get("a/negated_cat.png")), negated(PNG)) == 0
    assert (pipeline.left(), pipeline.keys(f"{pipeline.name}-archive")) == ([], kept)
    _, again = listed(pipeline, "--state", "done")
    assert again["run"] == old
    (problem,) = changed(pipeline, "retry", old)
    assert problem is not None
    assert problem.endswith(
        f"job {again['id'][:12]} repeated it and is done; use {again['id'][:12]}."
    )
    assert changed(pipeline, "retry", again["id"]) == [None]
    pipeline.drain()
    assert [row["round"] for row in pipeline.rows()] == [0, 1, 2]


def test_all_kept_inputs_are_processed_again(versioned: Pipeline) -> None:
    archived(versioned, "a.png")
    versioned.put("a.png", PNG + b"\0")  # replaces the first one's result
    versioned.drain()
    archived(versioned, "b.png")
    assert changed(versioned, "retry", "--state", "done") == [None, None]
    versioned.drain()
    rows = versioned.rows()
    again = sorted(rows[3:], key=lambda row: str(row["key"]))  # they run beside each other
    assert [(row["key"], row["round"]) for row in again] == [("a.png", 1), ("b.png", 1)]
    assert again[0]["input_sha256"] == rows[1]["input_sha256"]


def test_jobs_by_reason(versioned: Pipeline) -> None:
    small, no_picture = quarantine(versioned, "a.png"), quarantine(versioned, "b.png", b"text")
    (row,) = listed(versioned, "--reason", "384 pixels")
    assert row["id"] == small
    assert changed(versioned, "retry", "--reason", "384 pixels") == [None]
    assert versioned.left() == ["a.png"]
    assert changed(versioned, "drop", "--reason", "no such reason") == []
    versioned.drain()
    assert changed(versioned, "drop", "--reason", shown(versioned, no_picture)["reason"]) == [None]
    assert shown(versioned, no_picture)["state"] == "dropped"


@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_a_key_that_waits_is_left_alone(pipeline: Pipeline, verb: str) -> None:
    old = quarantine(pipeline, "cat.png")
    pipeline.put("cat.png", PNG + b"\0")
    (problem,) = changed(pipeline, verb, old)
    assert problem is not None
    assert f"Job {old[:12]} ('cat.png') was not " in problem
    assert f"an upload of the key waits in {pipeline.input}" in problem
    assert len(pipeline.keys(pipeline.quarantine)) == 2
    (forced,) = changed(pipeline, verb, old, "--force")
    if verb == "retry" and not pipeline.versions:
        assert forced is not None  # it would replace the user's upload
        assert "keeps no versions" in forced
    else:
        assert forced is None
    assert changed(pipeline, verb, old, "--force") != []  # harmless
    pipeline.drain()
    outcomes = sorted(row["outcome"] for row in pipeline.rows())
    expected = ["done", "quarantined"] if verb == "retry" else ["done", "dropped"]
    assert outcomes == (["done", *expected] if verb == "retry" and not forced else expected)


@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_a_newer_result_is_not_replaced(versioned: Pipeline, verb: str) -> None:
    old = quarantine(versioned, "cat.png")
    versioned.put("cat.png", PNG + b"\0")
    versioned.drain()
    (problem,) = changed(versioned, verb, old)
    assert problem is not None
    assert "a newer upload of the key is done" in problem
    assert "--force" in problem
    assert changed(versioned, verb, old, "--force") == [None]


def test_jobs_that_are_not_quarantined(versioned: Pipeline) -> None:
    versioned.put("done.png", PNG)
    versioned.drain()
    versioned.put("waits.png", PNG)
    for verb in ("retry", "drop"):
        done, waiting = listed(versioned)
        problems = changed(versioned, verb, done["id"], waiting["id"], "0" * 32)
        assert [problem and problem.partition(": ")[2] for problem in problems] == [
            "it is done, and only quarantined jobs can be."
            if verb == "drop"
            else "its input was not kept (setting keepInputs); upload the file again.",
            "it is waiting; wait until it is done or quarantined.",
            "`jobs` lists them.",
        ]


def test_a_copy_that_is_gone(versioned: Pipeline) -> None:
    old = quarantine(versioned, "cat.png")
    for key in versioned.keys(versioned.quarantine):
        versioned.s3.delete_object(Bucket=versioned.quarantine, Key=key)
    (problem,) = changed(versioned, "retry", old)
    assert problem is not None
    assert f"its copy is no longer in {versioned.quarantine}" in problem
    assert versioned.left() == []
    assert changed(versioned, "drop", old) == [None]


def test_copies_from_before_pipelines_had_names(versioned: Pipeline) -> None:
    first, second = quarantine(versioned, "a.png"), quarantine(versioned, "b.png", PNG + b"\0")
    bucket = versioned.quarantine
    for key in versioned.keys(bucket):
        versioned.s3.copy_object(
            Bucket=bucket,
            Key=key.removeprefix("negatives/"),
            CopySource={"Bucket": bucket, "Key": key},
        )
        versioned.s3.delete_object(Bucket=bucket, Key=key)
    assert changed(versioned, "retry", first) == [None]
    assert changed(versioned, "drop", second) == [None]
    versioned.drain()
    assert versioned.keys(bucket) == []
    assert versioned.keys(versioned.output) == ["negated_a.png"]


@pytest.mark.parametrize("arguments", [[], ["abcdef", "--state", "quarantined"]])
def test_either_ids_or_a_filter(versioned: Pipeline, arguments: list[str]) -> None:
    done = versioned.run("jobs", "retry", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Give the ids of jobs, or --state quarantined, --reason TEXT or --run ID.\n"
    )
