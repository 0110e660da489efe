"""What the metadata of results say, and the limits of stores for it."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from worker.jobs.fetch import Fetched
from worker.jobs.result_metadata import read_metadata, result_metadata
from worker.jobs.task import Task
from worker.ledger.ledger import Maker, Started
from worker.store.store import ObjectInfo
from worker.uploads.job import Job, Parent, first_job
from worker.uploads.upload import Upload, storable

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MAKER = Maker("negate", "v" * 16, "c" * 64)


TOKEN = "u" + "7" * 32


def metadata_of(job: Job) -> dict[str, str]:
    info = ObjectInfo(job.upload.etag, START, 7, {"upload": TOKEN})
    source = Fetched(job.upload, info, Path("x"), "a" * 64, 0.5)
    task = Task(source, job, Started(2**63 - 1, 3), is_superfluous=False, check_lease=lambda: None)
    return result_metadata(task, "n" * 20, MAKER, "m" * 63, number=2, sha256="b" * 64)


def upload(key: str) -> Upload:
    return Upload("b" * 63, key, "v" * 32, f"{'e' * 32}-10000", START)


@pytest.mark.parametrize(
    "key", ["a/x.png", "2024/猫 +%/naïve\n.png", "x" * 300, "猫" * 35, " ", "%", "a%2Fb"]
)
def test_a_job_is_read_as_it_was_written(key: str) -> None:
    first = first_job("negatives", upload(key))
    again = Job("1" * 32, first.upload, "2" * 32, 3, Parent("4" * 32, 5), "6" * 32)
    for job in (first, again):
        metadata = metadata_of(job)
        origin = read_metadata(metadata)
        assert origin
        assert (origin.job, origin.number, origin.pipeline) == (job, 2, "n" * 20)
        assert (origin.input_sha256, origin.input_bytes) == ("a" * 64, 7)
        assert (origin.maker, origin.machine) == (MAKER, "m" * 63)
        assert (origin.fence, origin.attempts) == (2**63 - 1, 3)
        assert origin.upload_token == TOKEN
        assert origin.seconds > 0
        assert origin.key_sha256 == hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize("key", ["a\0b", "a\0b" * 300], ids=["whole", "cut off"])
def test_a_key_has_the_hash_under_which_the_ledger_stores_it(key: str) -> None:
    """PostgreSQL's text holds no NUL."""
    origin = read_metadata(metadata_of(first_job("negatives", upload(key))))
    assert origin
    assert origin.key_sha256 == hashlib.sha256(storable(key).encode()).hexdigest()


@pytest.mark.parametrize("key", ["x" * 1024, "猫" * 341, "\ufffd" * 300])
def test_a_key_that_does_not_fit_is_cut_off_and_named_by_its_hash(key: str) -> None:
    origin = read_metadata(metadata_of(first_job("negatives", upload(key))))
    assert origin
    assert origin.key_sha256 == hashlib.sha256(key.encode()).hexdigest()
    shown = origin.job.upload.key
    assert shown.endswith("…")
    assert key.startswith(shown[:20])
    assert len(shown) > 28


@pytest.mark.parametrize("key", ["x.png", "x" * 1024, "猫" * 341])
def test_metadata_keeps_the_limits_of_stores(key: str) -> None:
    job = first_job("negatives", upload(key))
    metadata = metadata_of(Job("1" * 32, job.upload, "2" * 32, 99, Parent("4" * 32, 99), "6" * 32))
    assert sum(len(name) + len(value) for name, value in metadata.items()) <= 1500
    assert all(value.isascii() and value.isprintable() for value in metadata.values())
    assert all(len(value) <= 256 for value in metadata.values())
    # What a reader's copy says, or an upload that was put back.
    assert not metadata.keys() & {"parent", "retry", "upload"}


@pytest.mark.parametrize(
    "changes",
    [
        {"job": "1"},
        {"job": "g" * 32},
        {"run": "'; --"},
        {"input-time": "yesterday"},
        {"number": "two"},
        {"fence": ""},
        {"input-sha256": "a"},
        {"input-job": "4" * 32},
        {"input-key-sha256": "a"},
        {"seconds": "x"},
    ],
)
def test_metadata_that_a_worker_did_not_write_is_ignored(changes: dict[str, str]) -> None:
    metadata = metadata_of(first_job("negatives", upload("x.png")))
    assert read_metadata(metadata)
    assert read_metadata(metadata | changes) is None
    assert read_metadata({}) is None
    assert read_metadata({"sha256": "a" * 64, "input-sha256": "b" * 64}) is None
