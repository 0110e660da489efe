"""Quarantined uploads whose rows the database lost are found by their notes."""

import json
from typing import Any

from tests.worker.jobs import PNG, changed, listed, quarantine
from tests.worker.pipeline import Pipeline
from worker import settings
from worker.jobs.quarantine_recovery import QuarantineReport, recover_quarantine
from worker.ledger.connection import connect_worker
from worker.ledger.stack_ledger import StackLedger
from worker.store.s3_store import open_store

_NEW = ("id", "created_at", "rebuilt_at", "seconds")  # the note was written before the row


def recovered(pipeline: Pipeline) -> QuarantineReport:
    loaded = settings.load(pipeline.settings, {}, ())
    with connect_worker(loaded) as connection:
        ledger = StackLedger(connection, pipeline.name)
        return recover_quarantine(loaded, ledger, open_store(loaded))


def rows(pipeline: Pipeline) -> list[dict[str, Any]]:
    found = sorted(pipeline.rows(), key=lambda row: str(row["key"]))
    return [{name: row[name] for name in row if name not in _NEW} for row in found]


def test_rows_are_made_from_the_notes(versioned: Pipeline) -> None:
    for key in ("a.png", "k" * 1024, "z/ü.png"):
        versioned.put(key, PNG, {"upload": "u" + "7" * 32})
    versioned.configure(limits={"pixels": 383})
    versioned.drain()
    versioned.configure()
    before, ids = rows(versioned), [row["id"] for row in listed(versioned)]
    last = str(
        versioned.sql("SELECT job_id FROM pipeline.results WHERE key LIKE 'z%'")[0]["job_id"]
    )
    versioned.sql("TRUNCATE pipeline.results")
    found = recovered(versioned)
    assert (sorted(found.rebuilt), found.without_copy) == (sorted(ids), [])
    assert rows(versioned) == before
    assert recovered(versioned).rebuilt == []
    assert changed(versioned, "retry", last) == [None]
    versioned.drain()
    assert [row["outcome"] for row in versioned.rows() if row["key"] == "z/ü.png"] == [
        "quarantined",
        "done",
    ]


def test_copies_that_no_note_explains(versioned: Pipeline) -> None:
    quarantine(versioned, "a.png")
    copy, note = versioned.keys(versioned.quarantine)
    answer = versioned.s3.get_object(Bucket=versioned.quarantine, Key=note)
    kept = json.loads(answer["Body"].read())
    versioned.sql("TRUNCATE pipeline.results")
    for body in (b"no JSON", b"[]", json.dumps(kept | {"key": "b.png"}).encode()):
        versioned.s3.put_object(Bucket=versioned.quarantine, Key=note, Body=body)
        found = recovered(versioned)
        assert (found.rebuilt, found.unexplained) == ([], [copy])
    versioned.s3.delete_object(Bucket=versioned.quarantine, Key=note)
    assert recovered(versioned).unexplained == [copy]


def test_copies_from_before_notes_told_the_pipeline(versioned: Pipeline) -> None:
    identifier = quarantine(versioned, "negatives/a.png")
    bucket = versioned.quarantine
    _, note = versioned.keys(bucket)
    kept = json.loads(versioned.s3.get_object(Bucket=bucket, Key=note)["Body"].read())
    names = ("bucket", "key", "version_id", "etag", "last_modified", "sha256", "worker", "reason")
    old = {name: kept[name] for name in ("job", *names)}
    body = json.dumps(old).encode()
    for key in versioned.keys(bucket):
        source = {"Bucket": bucket, "Key": key}
        where = {"Bucket": bucket, "Key": key.removeprefix("negatives/")}
        if key == note:
            versioned.s3.put_object(**where, Body=body)
        else:
            versioned.s3.copy_object(**where, CopySource=source)
        versioned.s3.delete_object(**source)
    versioned.sql("TRUNCATE pipeline.results")
    assert recovered(versioned).rebuilt == [identifier]
    (row,) = listed(versioned)
    assert (row["id"], row["pipeline"], row["state"]) == (identifier, "negatives", "quarantined")


def test_a_copy_that_is_gone_and_an_upload_that_was_put_back(versioned: Pipeline) -> None:
    """Both happened after the backup that the database was restored from."""
    gone, back = quarantine(versioned, "a.png"), quarantine(versioned, "b.png", PNG + b"\0")
    assert changed(versioned, "retry", back) == [None]
    versioned.sql("TRUNCATE pipeline.retries")
    for key in versioned.keys(versioned.quarantine):
        if "a.png" in key:
            versioned.s3.delete_object(Bucket=versioned.quarantine, Key=key)
    found = recovered(versioned)
    assert (found.without_copy, found.put_back) == ([gone], [back])
    versioned.drain()
    assert [(row["key"], row["outcome"]) for row in versioned.rows()] == [
        ("a.png", "quarantined"),
        ("b.png", "quarantined"),
        ("b.png", "done"),
    ]
    assert versioned.rows()[-1]["retry_of"] == back
    assert changed(versioned, "drop", gone) == [None]
