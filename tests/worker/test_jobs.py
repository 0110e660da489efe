"""`jobs list` and `jobs show`: every upload in its state, with its history."""

import json
from datetime import datetime, timedelta

import pytest

from tests.worker.jobs import PNG, listed, quarantine, shown
from tests.worker.pipeline import Pipeline

KEYS = {
    *("id", "pipeline", "state", "key", "machine", "run", "attempts", "seconds"),
    *("results", "reason", "retried_by", "time"),
}


def test_jobs_in_every_state(versioned: Pipeline) -> None:
    bad = quarantine(versioned, "bad.png")
    versioned.put("a/cat.png", PNG)
    versioned.drain()
    versioned.put("later.png", PNG)
    versioned.put("folder/", b"")
    versioned.put(".DS_Store", b"x")
    refused, done, waiting = listed(versioned)
    assert set(refused) == set(done) == set(waiting) == KEYS
    assert (refused["id"], refused["key"], refused["state"]) == (bad, "bad.png", "quarantined")
    assert "has 384 pixels" in refused["reason"]
    assert refused["machine"] == "vm-1"
    assert (done["key"], done["state"]) == ("a/cat.png", "done")
    assert (done["pipeline"], done["machine"], done["attempts"]) == ("negatives", "vm-1", 1)
    assert (done["results"], done["reason"]) == (["a/negated_cat.png"], None)
    assert refused["retried_by"] is done["retried_by"] is waiting["retried_by"] is None
    assert done["run"] == done["id"]
    assert done["seconds"] > 0
    assert (waiting["key"], waiting["state"]) == ("later.png", "waiting")
    assert (waiting["machine"], waiting["attempts"], waiting["results"]) == (None, 0, [])
    versioned.drain()
    assert listed(versioned, "--last", "1")[0]["id"] == waiting["id"]  # known before its row


def test_filters_of_the_list(versioned: Pipeline) -> None:
    quarantine(versioned, "bad.png")
    for key in ("a.png", "b.png"):
        versioned.put(key, PNG)
        versioned.drain()
        versioned.next_second()
    versioned.put("c.png", PNG)

    def keys(*arguments: str) -> list[str]:
        return [row["key"] for row in listed(versioned, *arguments)]

    assert keys() == ["bad.png", "a.png", "b.png", "c.png"]
    assert keys("--last", "2") == ["b.png", "c.png"]
    assert keys("--state", "done") == ["a.png", "b.png"]
    assert keys("--state", "done", "--last", "1") == ["b.png"]
    assert keys("--state", "waiting") == ["c.png"]
    assert keys("--state", "running") == keys("--state", "dropped") == []
    assert keys("--like", "negated_a") == ["a.png"]
    assert keys("--like", "c.") == ["c.png"]
    assert keys("--pipeline", "negatives", "--last", "1") == ["c.png"]
    (a,) = listed(versioned, "--like", "a.png")
    assert keys("--run", a["run"][:8]) == ["a.png"]
    (c,) = listed(versioned, "--state", "waiting")
    assert keys("--run", c["run"]) == ["c.png"]
    later = datetime.fromisoformat(a["time"]) + timedelta(seconds=1)
    assert keys("--since", later.isoformat()) == ["b.png", "c.png"]


def test_an_upload_that_a_machine_works_on_is_running(versioned: Pipeline) -> None:
    versioned.put("cat.png", PNG)
    versioned.configure(store={"quarantine": "missing"})
    versioned.drain(1)  # the attempt stays
    versioned.configure()
    (waiting,) = listed(versioned)
    versioned.sql(
        "INSERT INTO pipeline.attempts (job_id, stack, pipeline, bucket, key, version_id, etag, "  # noqa: S608
        "last_modified, crashes, attempts, worker, started_at) "
        f"VALUES ('{waiting['id']}', '{versioned.name}', 'negatives', '{versioned.input}', "
        "'cat.png', '', '', now(), 0, 2, 'vm-2', now()) ON CONFLICT (job_id) DO UPDATE SET "
        "attempts = 2; "
        "INSERT INTO pipeline.leases VALUES "
        f"('{versioned.name}', 'negatives', sha256('cat.png'), 'cat.png', '{waiting['id']}', 9, "
        "'vm-2', now() + interval '1 hour')"
    )
    (running,) = listed(versioned, "--state", "running")
    assert (running["id"], running["machine"]) == (waiting["id"], "vm-2")
    assert running["attempts"] == 2
    assert listed(versioned, "--state", "waiting") == []
    uploaded, started = shown(versioned, running["id"])["timeline"]
    assert (uploaded["event"], started["event"]) == ("uploaded", "started")
    assert started["text"] == "on vm-2"
    versioned.sql("UPDATE pipeline.leases SET until = now()")
    assert [row["state"] for row in listed(versioned)] == ["waiting"]


def test_an_upload_that_only_waits_for_its_deletion_is_not_listed(versioned: Pipeline) -> None:
    version = versioned.put("cat.png", PNG)
    versioned.drain()
    (row,) = versioned.rows()
    again = versioned.put("cat.png", PNG)
    listing = versioned.s3.list_object_versions(Bucket=versioned.input)["Versions"]
    (listed_again,) = listing
    versioned.sql(
        "UPDATE pipeline.results SET version_id = "  # noqa: S608
        f"'{again}', last_modified = '{listed_again['LastModified'].isoformat()}'"
    )
    assert version == row["version_id"]
    assert [row["state"] for row in listed(versioned)] == ["done"]
    assert json.loads(versioned.run("status", "--json").stdout)["backlog"]["count"] == 0


def test_show_a_job(versioned: Pipeline) -> None:
    versioned.put("a/cat.png", PNG)
    versioned.drain()
    (row,) = listed(versioned)
    found = shown(versioned, row["id"][:6])
    assert {name: found[name] for name in KEYS} == row
    assert found["input"]["bucket"] == versioned.input
    assert (found["input"]["key"], found["input"]["bytes"]) == ("a/cat.png", len(PNG))
    (output,) = found["outputs"]
    assert (output["number"], output["bucket"]) == (1, versioned.output)
    assert (output["key"], output["content_type"]) == ("a/negated_cat.png", "image/png")
    assert [one["event"] for one in found["timeline"]] == ["uploaded", "done"]
    assert (found["parent"], found["children"]) == (None, [])
    assert (found["retry_of"], found["retried_by"]) == (None, None)


def test_lineage_goes_both_ways(versioned: Pipeline) -> None:
    """Three pipelines: the first job made the others' inputs."""
    versioned.put("cat.png", PNG)
    versioned.drain()
    (first,) = listed(versioned)
    for number, (parent, own) in enumerate([(first["id"], "b" * 32), ("b" * 32, "c" * 32)], 1):
        versioned.sql(
            "INSERT INTO pipeline.results OVERRIDING SYSTEM VALUE "  # noqa: S608
            "SELECT (jsonb_populate_record(r, jsonb_build_object("
            f"'id', {1000 + number}, 'job_id', '{own}', 'parent_id', '{parent}', "
            f"'parent_number', {number}, 'pipeline', 'reader-{number}'))).* "
            "FROM pipeline.results AS r WHERE parent_id IS NULL"
        )
    found = shown(versioned, "bbbbbb")
    assert (found["parent"]["id"], found["parent"]["pipeline"]) == (first["id"], "negatives")
    assert (found["parent"]["key"], found["parent"]["number"]) == ("cat.png", 1)
    assert found["parent"]["parent"] is None
    (child,) = found["children"]
    assert (child["id"], child["pipeline"], child["number"]) == ("c" * 32, "reader-2", 2)
    assert child["state"] == "done"
    (top,) = shown(versioned, first["id"])["children"]
    assert [one["id"] for one in top["children"]] == ["c" * 32]
    assert shown(versioned, "cccccc")["parent"]["parent"]["id"] == first["id"]
    assert [row["run"] for row in listed(versioned)] == [first["run"]] * 3


@pytest.mark.parametrize(
    ("identifier", "status", "words"),
    [
        ("0" * 12, 1, "No job has an id that begins with 000000000000"),
        ("12345", 2, "'12345': give the first 6 to 32 digits of an id"),
        ("not an id", 2, "give the first 6 to 32 digits of an id"),
    ],
)
def test_ids_that_name_no_job(
    versioned: Pipeline, identifier: str, status: int, words: str
) -> None:
    done = versioned.run("jobs", "show", identifier)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_ambiguous_id(versioned: Pipeline) -> None:
    for key in ("a.png", "b.png"):
        versioned.put(key, PNG)
    versioned.drain()
    versioned.sql("UPDATE pipeline.results SET job_id = 'abcdef' || right(job_id, 26)")
    done = versioned.run("jobs", "show", "abcdef")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Several jobs have ids that begin with abcdef: give more digits.\n"


def test_results_of_an_upload(versioned: Pipeline) -> None:
    def results(name: str) -> list[tuple[str, str]]:
        done = versioned.run("results", name, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return [(row["bucket"], row["key"]) for row in rows]

    expected = [(versioned.output, "a/negated_cat.png")]
    for _ in range(2):
        versioned.put("a/cat.png", PNG)
        versioned.drain()
        assert results("a/cat.png") == results("a/negated_cat.png") == expected
    assert results("cat.png") == []


@pytest.fixture
def chain(versioned: Pipeline) -> Pipeline:
    """Return a pipeline whose results another one reads, `second`."""
    reader, bucket = f"{versioned.name}-second", f"{versioned.name}-second-output"
    for name in (reader, bucket):
        versioned.make_bucket(name)
    versioned.enable_versions(reader)
    second: dict[str, object] = {"transform": "negate", "input": reader, "output": bucket}
    versioned.tables = {
        "pipeline": {"readers": ["second"]},
        "pipelines.second": second | {"sources": ["negatives"], "output_key": "{name}"},
    }
    versioned.configure()
    return versioned


def test_a_run_is_known_before_its_later_jobs_are_done(chain: Pipeline) -> None:
    chain.put("cat.png", PNG)
    chain.drain(pipeline="negatives")
    forged = {"run": "0" * 32, "parent": "0" * 32, "number": "1"}
    reader = f"{chain.name}-second"
    chain.s3.put_object(Bucket=reader, Key="forged.png", Body=PNG, Metadata=forged)
    first, *waiting = listed(chain)
    copy, other = sorted(waiting, key=lambda row: row["key"] != "negated_cat.png")
    assert (copy["pipeline"], copy["state"], copy["run"]) == ("second", "waiting", first["id"])
    assert (other["key"], other["run"]) == ("forged.png", other["id"])
    assert listed(chain, "--run", first["id"]) == [first, copy]
    found = shown(chain, copy["id"])
    assert (found["parent"]["id"], found["parent"]["number"]) == (first["id"], 1)
    report = json.loads(chain.run("status", "--json").stdout)
    assert [one["backlog"]["count"] for one in report["pipelines"]] == [0, 2]
    chain.drain(pipeline="second")
    (child,) = shown(chain, first["id"])["children"]
    assert (child["id"], child["state"], child["number"]) == (copy["id"], "done", 1)
    done = [row for row in listed(chain, "--run", first["id"]) if row["pipeline"] == "second"]
    assert [row["results"] for row in done] == [["negated_cat.png"]]


def test_results_of_one_of_several_pipelines(chain: Pipeline) -> None:
    chain.put("cat.png", PNG)
    chain.drain(pipeline="negatives")
    chain.drain(pipeline="second")
    answer = chain.run("results", "negated_cat.png", "--json")
    # It is the key of an upload to the second pipeline, which goes first.
    (row,) = [json.loads(line) for line in answer.stdout.splitlines()]
    assert (row["pipeline"], row["key"]) == ("second", "negated_cat.png")
    answer = chain.run("results", "negated_cat.png", "--json", "--pipeline", "negatives")
    (row,) = [json.loads(line) for line in answer.stdout.splitlines()]
    assert (row["pipeline"], row["bucket"]) == ("negatives", chain.output)
    assert row["version_id"]
