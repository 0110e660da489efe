"""tests/worker/test_many.py on Ceph, with fewer photos."""

from pathlib import Path

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.worker.pipeline import Pipeline
from tests.worker.test_many import drained


def test_some_hundreds(
    tmp_path: Path, moto: ObjectStore, database: PostgreSQL, pipelines: type[Pipeline]
) -> None:
    few, _ = drained(60, tmp_path / "few", moto, database, pipelines)
    many, _ = drained(300, tmp_path / "many", moto, database, pipelines)
    assert many.peak <= 1.2 * few.peak
