"""`./pipeline jobs`, `get`, `log` and `status`, with a real worker, ledger and store."""

import json
from collections.abc import Sequence
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

import click
import pytest
from click.testing import CliRunner, Result

from cli import options
from cli.commands import main
from tests.worker.jobs import PNG, quarantine
from tests.worker.pipeline import Pipeline

_RENAMED = "UPDATE pipeline.{table} SET pipeline = 'thumbs' WHERE job_id = '{id}'"


class Host:
    """The machine of a stack: the worker is a process here."""

    name, is_on_this_computer = "vm-1", False

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def start_worker(self, arguments: Sequence[str], errors: IO[str]) -> Popen[str]:
        process = self._pipeline.popen(*arguments)
        assert process.stderr is not None
        errors.write(process.stderr.read())
        return process

    def explain_failure(self, code: int, errors: str) -> click.ClickException | None:
        del code, errors
        return None

    def steps(self) -> list[object]:
        return []


class Stack:
    """The stack that the commands find."""

    name = "local"

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def hosts(self) -> list[Host]:
        return [Host(self._pipeline)]

    def outputs(self, *, show_secrets: bool = True) -> dict[str, Any]:
        del show_secrets
        one = self._pipeline
        buckets = {"inputBucket": one.input, "outputBucket": one.output}
        pipelines = {
            "negatives": {"transform": "negate", **buckets},
            "thumbs": {"transform": "thumbnail", **buckets},
        }
        return {
            "pipelines": pipelines,
            "quarantineBucket": one.quarantine,
            "s3Endpoint": one.store.endpoint,
            "s3AccessKey": one.store.access_key,
            "s3SecretKey": one.store.secret_key,
        }


@pytest.fixture
def stack(versioned: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr(options, "find_stack", lambda _: Stack(versioned))
    return versioned


def run(*words: str, code: int = 0) -> Result:
    answer = CliRunner().invoke(main, words)
    assert answer.exit_code == code, answer.output
    return answer


def listed(*words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run("jobs", *words, "--json").stdout)
    return rows


def test_the_table_of_jobs(stack: Pipeline) -> None:
    bad = quarantine(stack, "bad.png")
    stack.put("a/cat.png", PNG)
    stack.drain()
    stack.put("later.png", PNG)
    heading, *rows = run("jobs").stdout.splitlines()
    assert heading.split() == [
        *("id", "pipeline", "state", "key", "time", "seconds", "result", "or", "reason"),
    ]
    assert rows[0].startswith(f"{bad[:12]}  negatives  quarantined  bad.png")
    assert rows[0].endswith("it has 384 pixels, more than the pipeline's limits.pixels, 383")
    assert rows[1].endswith("a/negated_cat.png")
    assert "  waiting      later.png" in rows[2]
    assert [row["state"] for row in listed()] == ["quarantined", "done", "waiting"]
    assert [row["key"] for row in listed("--state", "waiting")] == ["later.png"]
    assert listed("list", "--last", "1") == listed("--like", "later")
    assert run("jobs", "--like", "nothing").stderr == "No jobs.\n"
    assert "No run has an id that begins with 000000" in run("jobs", "--run=000000", code=1).stderr
    assert listed("--run", "0" * 6) == []
    assert [row["id"] for row in listed("--reason", "384 pixels")] == [bad]
    status = run("status").stdout
    assert (
        "  reason     1: it has 384 pixels, more than the pipeline's limits.pixels, 383, newest 20"
        in status
    )


@pytest.mark.parametrize("options", [[], ["--csv"]])
def test_a_refused_query_is_one_sentence(stack: Pipeline, options: list[str]) -> None:
    answer = run("sql", "select nothing", *options, code=1)
    assert answer.stderr.startswith("pipeline: The query was refused (column")


def test_a_job_in_words(stack: Pipeline) -> None:
    bad = quarantine(stack, "bad.png")
    run("jobs", "retry", bad[:8])
    stack.drain()
    shown = run("jobs", "show", bad).stdout
    assert shown.startswith("bad.png in negatives: quarantined\n")
    for words in ("limits.pixels, 383", "uploaded", "put back", "retried", f"run          {bad}"):
        assert words in shown
    (done,) = listed("--state", "done")
    _, first, _ = run("jobs").stdout.splitlines()
    assert f"retried as {done['id'][:12]}: it has 384 pixels, more than" in first
    assert [row["retried_by"] for row in listed()] == [done["id"], None]
    shown = run("jobs", "show", done["id"]).stdout
    assert f"repeats   {bad[:12]}" in shown
    assert f"{stack.output}/negated_bad.png" in shown
    found = json.loads(run("jobs", "show", done["id"], "--json").stdout)
    assert found["retry_of"] == bad


def test_lineage_in_words(stack: Pipeline) -> None:
    stack.put("cat.png", PNG)
    stack.drain()
    (first,) = listed()
    stack.sql(
        "INSERT INTO pipeline.results OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(r, "  # noqa: S608
        f"jsonb_build_object('id', 1000, 'job_id', '{'b' * 32}', 'parent_id', '{first['id']}', "
        "'parent_number', 1, 'pipeline', 'thumbs'))).* FROM pipeline.results AS r"
    )
    child = f"    {'b' * 12} thumbs: cat.png"
    own = f"  {first['id'][:12]} negatives: cat.png"
    shown = run("jobs", "show", first["id"]).stdout
    assert f"lineage\n{own} (this job)\n{child} done\n" in shown
    assert f"lineage\n{own}\n{child} (this job)\n" in run("jobs", "show", "b" * 32).stdout
    # Two pipelines: the log has a column for them.
    assert run("log").stdout.splitlines()[0].split()[0] == "pipeline"
    assert run("log", "--pipeline", "negatives").stdout.splitlines()[0].split()[0] == "name"
    answer = run("log", "--pipeline", "nothing", code=1)
    assert "There is no pipeline 'nothing': choose one of negatives" in answer.stderr


def test_retry_and_drop_say_what_they_did(stack: Pipeline) -> None:
    first, second = quarantine(stack, "a.png"), quarantine(stack, "b.png", PNG + b"\0")
    assert run("jobs", "retry", first).stdout == f"Put back: {first[:12]} a.png\n"
    assert run("jobs", "drop", second).stdout == f"Dropped: {second[:12]} b.png\n"
    answer = run("jobs", "drop", first, second, "0" * 8, code=1)
    refused, dropped, unknown, summary = answer.stderr.splitlines()
    assert f"Job {first[:12]} ('a.png') was not dropped: it was put back and waits" in refused
    assert "it is dropped" in dropped
    assert "No job has an id" in unknown
    assert summary.endswith("3 of 3 jobs were not dropped.")
    assert answer.stdout == ""
    rows = json.loads(run("jobs", "drop", second, "--json", code=1).stdout)
    assert [row["ok"] for row in rows] == [False]
    stack.drain()
    assert run("jobs", "retry", "--state", "quarantined").stderr == ("There is no such job.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["retry"], "Give the ids of jobs, or --state quarantined, --reason"),
        (["retry", "a" * 8, "--run", "b" * 8], "Give the ids of jobs, or --state quarantined"),
        (["drop"], "Give the ids of jobs, or --state quarantined, --reason TEXT or --run ID."),
        (["show", "abc"], "'abc' is not an id: give its first 6 to 32 digits."),
        (["--since", "noon"], "--since 'noon' is not a time"),
    ],
)
def test_wrong_arguments(stack: Pipeline, words: list[str], sentence: str) -> None:
    answer = CliRunner().invoke(main, ["jobs", *words])
    assert answer.exit_code > 0
    assert sentence in answer.stderr


def test_get_finds_results_through_the_ledger(stack: Pipeline, tmp_path: Path) -> None:
    stack.put("a/cat.png", PNG)
    stack.drain()
    for name in ("a/cat.png", "a/negated_cat.png"):
        written = run("get", name, "-d", str(tmp_path)).stdout
        assert written == f"{tmp_path}/negated_cat.png\n"
        assert (tmp_path / "negated_cat.png").read_bytes() == stack.get("a/negated_cat.png")
        (tmp_path / "negated_cat.png").unlink()
    run("get", "a/cat.png", "-o", str(tmp_path / "x.png"))
    assert (tmp_path / "x.png").exists()


def test_get_fetches_all_results_of_a_job(stack: Pipeline, tmp_path: Path) -> None:
    stack.put("cat.png", PNG)
    stack.drain()
    stack.s3.put_object(Bucket=stack.output, Key="second.png", Body=b"second")
    stack.sql(
        "INSERT INTO pipeline.outputs SELECT (jsonb_populate_record(o, jsonb_build_object("
        "'number', 2, 'key', 'second.png', 'version_id', ''))).* FROM pipeline.outputs AS o"
    )
    run("get", "cat.png", "-d", str(tmp_path))
    assert sorted(one.name for one in tmp_path.glob("*.png")) == ["negated_cat.png", "second.png"]
    assert (tmp_path / "second.png").read_bytes() == b"second"
    answer = run("get", "cat.png", "-o", str(tmp_path / "x.png"), code=1)
    assert "'cat.png' has 2 results, more than one file" in answer.stderr


def test_get_asks_which_pipeline_is_meant(stack: Pipeline, tmp_path: Path) -> None:
    for _ in range(2):
        stack.put("cat.png", PNG)
        stack.drain()
    first, _ = listed()
    for table in ("results", "outputs"):
        stack.sql(_RENAMED.format(table=table, id=first["id"]))
    answer = run("get", "cat.png", "-d", str(tmp_path), code=1)
    assert (
        "have results of 'cat.png' (negatives, thumbs): name one with --pipeline" in answer.stderr
    )
    run("get", "cat.png", "-d", str(tmp_path), "--pipeline", "negatives")
    assert (tmp_path / "negated_cat.png").exists()
    answer = run("get", "cat.png", "--pipeline", "nothing", code=1)
    assert "The stack has no pipeline 'nothing': choose one of negatives, thumbs" in answer.stderr


def test_get_says_why_there_is_no_result(stack: Pipeline) -> None:
    bad = quarantine(stack, "bad.png")
    stack.put("later.png", PNG)
    answer = run("get", "later.png", code=1)
    assert "'later.png' is still waiting in negatives: try again in a moment." in answer.stderr
    answer = run("get", "bad.png", code=1)
    assert "'bad.png' was refused by negatives (it has 384 pixels" in answer.stderr
    assert f"jobs show {bad[:12]}" in answer.stderr
    answer = run("get", "a\x1b.png", code=1)
    assert "There is no result of 'a\\x1b.png': './pipeline jobs' shows" in answer.stderr


def test_get_says_what_fetches_a_folder(stack: Pipeline) -> None:
    stack.put("a b/cat.png", PNG)
    stack.drain()
    for name in ("a b/", "a b"):
        answer = run("get", name, code=1)
        assert f"'{name}' is a folder: \"./pipeline jobs --like 'a b/'\" lists" in answer.stderr
    assert "There is no result of 'a'" in run("get", "a", code=1).stderr


def test_get_of_a_job_without_files_as_results(stack: Pipeline) -> None:
    stack.put("cat.png", PNG)
    stack.drain()
    stack.sql("DELETE FROM pipeline.outputs")
    answer = run("get", "cat.png", code=1)
    assert "'cat.png' was done by negatives without a file as result" in answer.stderr


def test_status_of_one_pipeline_and_of_an_unknown_one(stack: Pipeline) -> None:
    stack.put("cat.png", PNG)
    stack.drain()
    assert "done         1 (0.1 a minute over the last 10 min)" in run("status").stdout
    assert json.loads(run("status", "--pipeline", "negatives", "--json").stdout)["done"] == 1
    answer = run("status", "--pipeline", "nothing", code=1)
    assert "There is no pipeline 'nothing'" in answer.stderr
