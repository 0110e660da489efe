"""Runs of a workflow that gathers: the real worker, store and ledger, and `jobs run`."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.workflow import LINES, make_workflow, package
from cli import options
from cli.commands import main
from tests.worker.jobs import changed, listed, shown
from tests.worker.pipeline import Pipeline
from tests.worker.test_cli_jobs import Stack


@pytest.fixture(scope="session")
def workflow_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("workflow"))


@pytest.fixture
def workflow(pipeline: Pipeline, workflow_package: Path) -> Pipeline:
    return begun(pipeline, workflow_package)


@pytest.fixture
def versioned_workflow(versioned: Pipeline, workflow_package: Path) -> Pipeline:
    return begun(versioned, workflow_package)


def begun(pipeline: Pipeline, folder: Path) -> Pipeline:
    """Configure the workflow, and migrate: runs that end before `model` begins are gathered too."""
    make_workflow(pipeline, folder)
    done = pipeline.run("migrate")
    assert (done.returncode, done.stderr) == (0, "")
    return pipeline


def drain(pipeline: Pipeline, *names: str) -> None:
    for name in names or ("negatives", "train", "model"):
        pipeline.drain(pipeline=name)


def run_of(pipeline: Pipeline, identifier: str) -> dict[str, Any]:
    """Return what `jobs run` prints."""
    done = pipeline.run("jobs", "run", "--json", identifier)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def counts(report: dict[str, Any]) -> dict[str, dict[str, int]]:
    rows = {row.pop("name"): row for row in report["pipelines"]}
    return {name: {state: n for state, n in row.items() if n} for name, row in rows.items()}


def stored(pipeline: Pipeline, name: str = "model") -> dict[str, str]:
    bucket = f"{pipeline.name}-{name}-output"
    objects = pipeline.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    keys = [one["Key"] for one in objects]
    return {
        key: pipeline.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys
    }


def test_a_run_from_its_upload_to_its_gather(workflow: Pipeline) -> None:
    workflow.put("a/x.txt", LINES)
    (waiting,) = listed(workflow)
    run = waiting["run"]
    report = run_of(workflow, run[:8])
    assert (report["run"], report["key"], report["text"]) == (run, "a/x.txt", None)
    assert counts(report) == {"negatives": {"waiting": 1}}
    drain(workflow, "negatives")
    report = run_of(workflow, run)
    assert (report["key"], report["text"]) == ("a/x.txt", LINES.decode())
    assert counts(report) == {"negatives": {"done": 1}, "train": {"waiting": 3}}
    assert report["gathers"] == [{"pipeline": "model", "waits_for": 3}]
    assert (report["ended"], report["blocked"]) == (False, [])
    drain(workflow, "train", "model")
    report = run_of(workflow, run)
    assert counts(report)["train"] == {"done": 2, "quarantined": 1}
    assert report["gathers"] == [{"pipeline": "model", "waits_for": 1}]
    (bad,) = listed(workflow, "--state", "quarantined")
    assert report["blocked"] == [
        f"Job {bad['id'][:12]} (train: 'a/x.txt.3.txt') is quarantined: a bad line. "
        f"`jobs retry {bad['id'][:12]}` processes it again, `jobs drop {bad['id'][:12]}` leaves it "
        "out."
    ]
    assert report["ended"] is False
    assert stored(workflow) == {}
    assert changed(workflow, "drop", bad["id"]) == [None]
    assert run_of(workflow, run)["gathers"] == [{"pipeline": "model", "waits_for": 0}]
    drain(workflow, "model")
    report = run_of(workflow, bad["id"])  # a job names its run
    assert counts(report) == {
        "negatives": {"done": 1},
        "train": {"done": 2, "dropped": 1},
        "model": {"done": 1},
    }
    assert (report["ended"], report["blocked"], report["gathers"]) == (True, [], [])
    text = "a/x.txt.1.txt=ONE\na/x.txt.2.txt=TWO"
    assert stored(workflow) == {f"a/{run}/x.txt": text}
    drain(workflow)
    assert len(listed(workflow)) == 5  # nothing is done twice


def test_lineage_leads_through_a_gather(versioned_workflow: Pipeline) -> None:
    workflow = versioned_workflow
    workflow.put("x.txt", b"one\ntwo")
    drain(workflow)
    rows = listed(workflow)
    first, *trained, model = sorted(rows, key=lambda row: (row["time"], row["pipeline"] == "model"))
    found = shown(workflow, model["id"])
    assert found["parent"] is None
    assert {(one["pipeline"], one["job"], one["number"]) for one in found["members"]} == {
        ("train", row["id"], 1) for row in trained
    }
    assert {one["bucket"] for one in found["members"]} == {f"{workflow.name}-train-output"}
    for row in trained:
        (child,) = shown(workflow, row["id"])["children"]
        assert (child["id"], child["pipeline"], child["state"]) == (model["id"], "model", "done")
    top = shown(workflow, first["id"])
    assert (top["text"], top["log"]) == ("one\ntwo", "lines: 2\n")
    assert [len(one["children"]) for one in top["children"]] == [1, 0]  # the gather comes once
    assert shown(workflow, trained[0]["id"])["text"] is None


def test_two_runs_side_by_side(
    versioned_workflow: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = versioned_workflow
    monkeypatch.setattr(options, "find_stack", lambda _: Stack(workflow))
    workflow.put("x.txt", b"one\ntwo")
    workflow.put("y.txt", b"one\nbad")
    drain(workflow)
    runs = {row["key"]: row["run"] for row in listed(workflow, "--pipeline", "negatives")}
    x, y = runs["x.txt"], runs["y.txt"]
    shown = CliRunner().invoke(main, ["jobs", "run", x, y])
    assert shown.exit_code == 0, shown.output
    lines = [line.split("  ") for line in shown.stdout.splitlines()]
    cells = {line[0]: [cell.strip() for cell in line[1:] if cell.strip()] for line in lines if line}
    assert cells["run"] == [x[:12], y[:12]]
    assert cells["input"] == ["negatives: x.txt", "negatives: y.txt"]
    assert cells["train"] == ["2 done", "1 done, 1 quarantined"]
    assert cells["model"] == ["1 done", "waits for 1 job"]
    assert cells["state"] == ["ended", "blocked"]
    assert "(train: 'y.txt.2.txt') is quarantined: a bad line. `jobs retry" in shown.stdout
    assert "-two\n  +bad" in shown.stdout
    one = CliRunner().invoke(main, ["jobs", "--run", x]).stdout
    assert "configuration\n  one\n  two\n" in one
    assert f"  {x[:12]}" in one.split("configuration")[1]  # and the table of its jobs
    found = json.loads(CliRunner().invoke(main, ["jobs", "run", x, "--json"]).stdout)
    assert [report["run"] for report in found] == [x]


def test_runs_that_do_not_exist(versioned_workflow: Pipeline) -> None:
    done = versioned_workflow.run("jobs", "run", "0" * 12)
    assert (done.returncode, done.stderr) == (
        1,
        "No run has an id that begins with 000000000000: `jobs` lists them.\n",
    )


def test_a_copy_that_was_deleted_is_named(versioned_workflow: Pipeline) -> None:
    workflow = versioned_workflow
    workflow.put("x.txt", b"one\ntwo")
    drain(workflow, "negatives")
    bucket = f"{workflow.name}-train-input"
    workflow.s3.delete_object(Bucket=bucket, Key="x.txt.2.txt")
    drain(workflow)
    (first,) = listed(workflow, "--pipeline", "negatives")
    report = run_of(workflow, first["run"])
    assert report["blocked"] == [
        f"Result 2 of job {first['id'][:12]} (negatives: 'x.txt') has no job in train, and its "
        "copy is no longer in the input bucket: upload the run's first object again."
    ]
    assert report["ended"] is False


def test_a_retried_gather_reads_the_same_members(versioned_workflow: Pipeline) -> None:
    workflow = versioned_workflow
    workflow.put("x.txt", b"one\ntwo")
    drain(workflow, "negatives", "train")
    bucket = f"{workflow.name}-train-output"
    (version, *_) = workflow.s3.list_object_versions(Bucket=bucket)["Versions"]
    content = workflow.s3.get_object(Bucket=bucket, Key=version["Key"])["Body"].read()
    workflow.s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    drain(workflow, "model")
    (bad,) = listed(workflow, "--state", "quarantined")
    assert bad["reason"].startswith(
        f"its member '{version['Key']}' of 'train' was deleted or replaced since job "
    )
    # A version cannot be put back, but it counts as recorded if it has the recorded bytes.
    again = workflow.s3.put_object(Bucket=bucket, Key=version["Key"], Body=content)
    workflow.sql(
        f"UPDATE pipeline.gathers SET manifest = replace(manifest, '{version['VersionId']}', "  # noqa: S608
        f"'{again['VersionId']}')"
    )
    assert changed(workflow, "retry", bad["id"]) == [None]
    (waiting,) = listed(workflow, "--state", "waiting")
    assert (waiting["pipeline"], waiting["run"]) == ("model", bad["run"])
    drain(workflow, "model")
    assert list(stored(workflow).values()) == ["x.txt.1.txt=ONE\nx.txt.2.txt=TWO"]
    assert len(shown(workflow, waiting["id"])["members"]) == 2
