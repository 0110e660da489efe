"""`rebuild-log`: the rows that a lost database had, from the metadata of results."""

import hashlib
import json
from typing import Any

from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from worker import settings
from worker.ledger.postgres_ledger import open_ledger
from worker.uploads.job import Job
from worker.uploads.upload import Upload

KEYS = ["a/x.png", "a/naïve 猫+%.png", "/".join(["é" * 100] * 4), "y.png"]
#: Of an upload over HTTP.
TOKEN = "u" + "7" * 32
#: What is not known from metadata.
UNKNOWN = {"id", "created_at", "notes", "log", "rebuilt_at"}
#: Until the row is written the result is stored.
MEASURED = {"seconds"}


def rebuild(pipeline: Pipeline) -> dict[str, Any]:
    done = pipeline.run("rebuild-log")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    assert found.pop("pipeline") == "negatives"
    return found


def known(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left_out = UNKNOWN | MEASURED
    shown = [{name: row[name] for name in row if name not in left_out} for row in rows]
    return sorted(shown, key=lambda row: str(row["job_id"]))


def outputs(pipeline: Pipeline) -> list[dict[str, Any]]:
    return pipeline.sql("SELECT * FROM pipeline.outputs ORDER BY job_id, number")


def lose_database(pipeline: Pipeline) -> None:
    pipeline.sql("TRUNCATE pipeline.results, pipeline.outputs, pipeline.leases")


def process(pipeline: Pipeline) -> None:
    for number, key in enumerate(KEYS):
        pipeline.put(key, encode(picture(number), "PNG"))
    pipeline.drain()
    pipeline.put(KEYS[0], encode(picture(9), "PNG"), {"upload": TOKEN})
    pipeline.drain()


def test_lost_rows_are_written_again(pipeline: Pipeline) -> None:
    process(pipeline)
    rows, stored = pipeline.rows(), outputs(pipeline)
    assert [row["upload_token"] for row in rows] == [None] * len(KEYS) + [TOKEN]
    lose_database(pipeline)
    pipeline.s3.put_object(Bucket=pipeline.output, Key="somebody's.png", Body=b"x")
    # Without versions the second result of a key has replaced the first.
    newest = {row["key"]: row for row in rows}
    there = rows if pipeline.versions else list(newest.values())
    count = len(there)
    assert rebuild(pipeline) == {"added": count, "results": count, "others": 1}
    again = pipeline.rows()
    cut = {row["key_sha256"]: row["key"] for row in again if row["key"].endswith("…")}
    assert [key.startswith("é" * 20) for key in cut.values()] == [True]
    expected = known([{**row, "key": cut.get(row["key_sha256"], row["key"])} for row in there])
    assert known(again) == expected
    assert all(row["rebuilt_at"] and row["seconds"] > 0 for row in again)
    ids = {row["job_id"] for row in there}
    assert outputs(pipeline) == [row for row in stored if row["job_id"] in ids]
    log = pipeline.sql("SELECT negated_image_name FROM pipeline.log_records")
    assert len(log) == count
    assert rebuild(pipeline) == {"added": 0, "results": count, "others": 1}
    assert known(pipeline.rows()) == expected


def test_rows_that_are_there_stay(pipeline: Pipeline) -> None:
    process(pipeline)
    pipeline.sql("DELETE FROM pipeline.results WHERE key = 'y.png'")
    pipeline.sql(
        "UPDATE pipeline.results SET seconds = 7, outcome = 'dropped' WHERE key <> 'y.png'"
    )
    before = pipeline.rows()
    assert rebuild(pipeline)["added"] == 1
    assert pipeline.rows()[:-1] == before


def test_results_of_older_workers_give_what_is_known(pipeline: Pipeline) -> None:
    """They said what they contain and what they were made of, by hashes."""
    body = b"a result"
    hashes = {"sha256": hashlib.sha256(body).hexdigest(), "input-sha256": "a" * 64}
    key = "a/negated_x.png"
    pipeline.s3.put_object(
        Bucket=pipeline.output, Key=key, Body=body, Metadata=hashes, ContentType="image/png"
    )
    for added in (1, 0):
        assert rebuild(pipeline) == {"added": added, "results": 1, "others": 0}
        (row,) = pipeline.rows()
        assert (row["key"], row["output_key"], row["outcome"]) == ("a/x.png", key, "done")
        assert (row["input_sha256"], row["output_sha256"]) == ("a" * 64, hashes["sha256"])
        (output,) = outputs(pipeline)
        assert (output["bytes"], output["content_type"]) == (len(body), "image/png")
    # A row of that time, of a job whose id its result does not say.
    pipeline.sql("UPDATE pipeline.results SET job_id = 'another', rebuilt_at = NULL")
    pipeline.sql("UPDATE pipeline.outputs SET job_id = 'another'")
    assert rebuild(pipeline)["added"] == 0


def test_an_upload_that_is_still_there_is_processed_again(versioned: Pipeline) -> None:
    """Its result may be stored, but not copied to readers."""
    versioned.put("x.png", encode(picture(1), "PNG"))
    versioned.drain()
    lose_database(versioned)
    rebuild(versioned)
    (row,) = versioned.rows()
    names = ("bucket", "key", "version_id", "etag", "last_modified")
    job = Job(row["job_id"], Upload(*(row[name] for name in names)), row["run_id"])
    with open_ledger(settings.load(versioned.settings, {}, ()), "negatives") as ledger:
        (started,) = ledger.start([job], alone=False).values()
    assert started.recorded is None
