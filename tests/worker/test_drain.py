"""A pass on every kind of store: names, rows, order."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.worker.conftest import KINDS
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

KEYS = [
    "cat1.png",
    "two words.png",
    "plus+and%20percent%.png",
    "naïve 猫 🐈.png",
    "a/x.png",
    "b/x.png",
    "deep/er/and/deeper/x.png",
    'quote\'s "double" & <angle>.png',
    "; drop table log_records; --.png",
    "-n.png",
    "no extension",
    ".hidden",
    "(1) [2] {3} ~#!$,=@^`.png",
]
# rclone stores objects as files and cannot have these.
KEYS_OF_OBJECT_STORES = ["/a/x.png", "//x.png", "a//x.png", "../x.png", "a/./b.png", "tab\t.png"]


@pytest.fixture(scope="module", params=KINDS)
def drained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    database: PostgreSQL,
    pipelines: type[Pipeline],
) -> Iterator[tuple[Pipeline, dict[str, bytes]]]:
    """One pass over all the keys, examined by several tests."""
    kind = KINDS[request.param]
    store: ObjectStore = request.getfixturevalue(kind)
    folder = tmp_path_factory.mktemp("drained")
    with pipelines(folder, store, database, versions=request.param == "versions") as made:
        made.make_tables()
        keys = KEYS + (KEYS_OF_OBJECT_STORES if kind == "moto" else [])
        photos = {key: encode(picture(number), "PNG") for number, key in enumerate(keys)}
        for key, photo in photos.items():
            made.put(key, photo)
        made.drain()
        yield made, photos


def test_results_keep_the_names(drained: tuple[Pipeline, dict[str, bytes]]) -> None:
    pipeline, photos = drained
    for key, photo in photos.items():
        prefix, slash, name = key.rpartition("/")
        result = pipeline.get(f"{prefix}{slash}negated_{name}")
        assert error(decode(result), negated(photo)) == 0, key
    assert len(pipeline.keys(pipeline.output)) == len(photos)
    assert pipeline.left() == []
    assert pipeline.keys(pipeline.quarantine) == []


def test_every_upload_has_one_row(drained: tuple[Pipeline, dict[str, bytes]]) -> None:
    pipeline, photos = drained
    rows = {row["key"]: row for row in pipeline.rows()}
    assert len(pipeline.rows()) == len(rows) == len(photos)
    for key, photo in photos.items():
        row, result = rows[key], pipeline.get(rows[key]["output_key"])
        assert row["outcome"] == "done"
        assert row["input_sha256"] == hashlib.sha256(photo).hexdigest()
        assert row["output_sha256"] == hashlib.sha256(result).hexdigest()
        assert (row["input_bytes"], row["output_bytes"]) == (len(photo), len(result))
        assert row["worker"] == "vm-1"
        assert bool(row["version_id"]) == pipeline.versions
    assert pipeline.sql("SELECT * FROM pipeline.attempts") == []


def test_outputs_carry_their_type_and_hash(drained: tuple[Pipeline, dict[str, bytes]]) -> None:
    pipeline, photos = drained
    head = pipeline.s3.head_object(Bucket=pipeline.output, Key="negated_cat1.png")
    metadata = {name.lower(): value for name, value in head["Metadata"].items()}
    assert head["ContentType"] == "image/png"
    assert metadata["input-sha256"] == hashlib.sha256(photos["cat1.png"]).hexdigest()


def test_the_tutorials_query_works_verbatim(
    drained: tuple[Pipeline, dict[str, bytes]],
) -> None:
    pipeline, _ = drained
    query = "select * from log_records where negated_image_name like '%cat1%';"
    (row,) = pipeline.sql(query, user=pipeline.admin)
    result = pipeline.get("negated_cat1.png")
    assert list(row)[:3] == ["timestamp", "negated_image_name", "negated_image_hash"]
    assert row["negated_image_name"] == "negated_cat1.png"
    assert row["negated_image_hash"] == hashlib.sha256(result).hexdigest()
    recorded = "SELECT created_at::text AS at FROM pipeline.results WHERE key = 'cat1.png'"
    assert row["timestamp"][:10] == pipeline.sql(recorded)[0]["at"][:10]
    assert len(row["timestamp"]) == len("2026-01-01T00:00:00")


def test_log_and_status_report_the_results(drained: tuple[Pipeline, dict[str, bytes]]) -> None:
    pipeline, photos = drained
    log = pipeline.log()
    assert {row["input_key"] for row in log} == set(photos)
    assert {"timestamp", "input_key", "output_key", "input_sha256", "output_sha256"} <= set(log[0])
    assert isinstance(log[0]["seconds"], float)
    (one,) = pipeline.log("--like", "cat1")
    assert (one["output_key"], one["outcome"], one["reason"]) == ("negated_cat1.png", "done", None)
    assert pipeline.log("--like", "100%") == []
    assert "negated_cat1.png" in pipeline.run("log", "--like", "cat1").stdout
    status = json.loads(pipeline.run("status", "--json").stdout)
    (machine,) = status["machines"]
    assert (machine["machine"], machine["obstacle"]) == ("vm-1", None)
    assert status["backlog"] == {"count": 0, "bytes": 0, "oldest": None, "running": 0}
    assert (status["done"], status["quarantined"]) == (len(photos), 0)
    assert status["rate"] == pytest.approx(len(photos) / 10)
    assert status["last_error"] is None


def test_a_second_pass_does_nothing(drained: tuple[Pipeline, dict[str, bytes]]) -> None:
    pipeline, _ = drained
    before = pipeline.rows()
    pipeline.drain()
    assert pipeline.rows() == before


@pytest.mark.parametrize("kind", ["versioned", "unversioned"])
def test_folder_markers_are_not_processed(kind: str, request: pytest.FixtureRequest) -> None:
    pipeline: Pipeline = request.getfixturevalue(kind)
    pipeline.put("folder/", b"")
    pipeline.put("folder/x.png", encode(picture(), "PNG"))
    pipeline.drain()
    assert pipeline.left() == ["folder/"]
    assert [row["key"] for row in pipeline.rows()] == ["folder/x.png"]
    assert json.loads(pipeline.run("status", "--json").stdout)["backlog"]["count"] == 0


@pytest.mark.parametrize(
    ("length", "outcome"), [(1015, "done"), (1016, "done"), (1017, "quarantined")]
)
def test_key_lengths(versioned: Pipeline, length: int, outcome: str) -> None:
    """`negated_` is 8 bytes; S3 allows 1,024, counted in UTF-8."""
    key = "ä" * (length // 2) + "x" * (length % 2)
    versioned.put(key, encode(picture(), "PNG"))
    versioned.drain()
    (row,) = versioned.rows()
    assert row["outcome"] == outcome
    assert row["reason"] == (None if outcome == "done" else "key too long")
    assert versioned.left() == []
    assert len(versioned.keys(versioned.output)) == (outcome == "done")


def test_the_same_bytes_again_are_another_upload(versioned: Pipeline) -> None:
    photo = encode(picture(), "PNG")
    for _ in range(3):
        versioned.put("x.png", photo)
    versioned.drain()
    assert len(versioned.rows()) == 3
    assert versioned.left() == []


def test_versions_are_processed_oldest_first(versioned: Pipeline) -> None:
    photos = [encode(picture(seed), "PNG") for seed in range(3)]
    ids = [versioned.put("x.png", photo) for photo in photos]
    versioned.drain()
    assert [row["version_id"] for row in versioned.rows()] == ids
    assert error(decode(versioned.get("negated_x.png")), negated(photos[-1])) == 0
    assert versioned.left() == []


def test_uploads_below_a_delete_marker_are_not_processed(versioned: Pipeline) -> None:
    first, second, third = (encode(picture(seed), "PNG") for seed in range(3))
    versioned.put("gone.png", first)
    versioned.put("gone.png", second)
    versioned.s3.delete_object(Bucket=versioned.input, Key="gone.png")
    versioned.put("back.png", first)
    versioned.next_second()  # moto has times in whole seconds
    versioned.s3.delete_object(Bucket=versioned.input, Key="back.png")
    last = versioned.put("back.png", third)
    versioned.s3.delete_object(Bucket=versioned.input, Key="never there.png")
    versioned.drain()
    assert [(row["key"], row["version_id"]) for row in versioned.rows()] == [("back.png", last)]
    assert versioned.keys(versioned.output) == ["negated_back.png"]
    assert versioned.left() == []


def test_an_upload_in_the_second_of_a_delete_marker_is_processed(versioned: Pipeline) -> None:
    photo = encode(picture(), "PNG")
    versioned.next_second()
    versioned.s3.delete_object(Bucket=versioned.input, Key="x.png")
    last = versioned.put("x.png", photo)
    versioned.drain()
    assert [row["version_id"] for row in versioned.rows()] == [last]
    assert versioned.left() == []


@pytest.mark.long
def test_versions_of_a_key_on_two_pages(versioned: Pipeline) -> None:
    """A page of the listing has 1,000 entries."""
    for _ in range(1005):
        versioned.put("x.png", b"no image")
    versioned.next_second()
    versioned.s3.delete_object(Bucket=versioned.input, Key="x.png")
    photo = encode(picture(), "PNG")
    versioned.put("x.png", photo)
    versioned.drain()
    assert len(versioned.rows()) == 1
    assert error(decode(versioned.get("negated_x.png")), negated(photo)) == 0
    assert versioned.left() == []


def test_suspended_versioning(versioned: Pipeline) -> None:
    """New uploads then have the version id "null", which does not pin their bytes."""
    before, after = encode(picture(1), "PNG"), encode(picture(2), "PNG")
    versioned.put("before.png", before)
    versioned.s3.put_bucket_versioning(
        Bucket=versioned.input, VersioningConfiguration={"Status": "Suspended"}
    )
    versioned.put("after.png", after)
    versioned.drain()
    assert error(decode(versioned.get("negated_before.png")), negated(before)) == 0
    assert error(decode(versioned.get("negated_after.png")), negated(after)) == 0
    assert versioned.left() == []
    assert {row["version_id"] for row in versioned.rows()} >= {"null"}


def test_a_locked_upload_is_transformed_once(versioned: Pipeline) -> None:
    """Object Lock: the store refuses to delete it until its retention ends."""
    bucket = f"{versioned.name}-locked"
    versioned.s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    versioned.configure(pipeline={"input": bucket})
    retained = {
        "ChecksumAlgorithm": "SHA256",  # S3 demands a checksum of what is locked
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=1),
    }
    photo = encode(picture(), "PNG")
    versioned.s3.put_object(Bucket=bucket, Key="locked.png", Body=photo, **retained)
    versioned.drain()
    before = versioned.rows()
    assert [row["outcome"] for row in before] == ["done"]
    versioned.sql("UPDATE pipeline.results SET created_at = created_at - interval '2 hours'")
    versioned.sql("UPDATE pipeline.attempts SET failed_at = failed_at - interval '2 hours'")
    versioned.s3.put_object(Bucket=bucket, Key="locked.png", Body=encode(picture(1), "PNG"))
    versioned.drain()
    after = versioned.rows()
    assert len(after) == 2  # the newer upload's as well
    assert after[0] == before[0] | {"created_at": after[0]["created_at"]}
    assert after[0]["created_at"] < before[0]["created_at"]
    status = json.loads(versioned.run("status", "--json").stdout)
    assert status["backlog"]["count"] == 0
    assert [machine["obstacle"] for machine in status["machines"]] == [None]


def test_the_state_folder_is_cleaned_up(pipeline: Pipeline) -> None:
    stale = pipeline.folder / "state" / "work" / "left by a killed worker"
    stale.mkdir(parents=True)
    pipeline.put("x.png", encode(picture(), "PNG"))
    pipeline.put("bad.png", b"bad")
    pipeline.drain()
    state: Path = pipeline.folder / "state"
    assert sorted(path.name for path in state.rglob("*")) == ["lock", "work"]
