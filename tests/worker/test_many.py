"""A thousand small photos at once: each has its row and its own negative, and memory stays."""

import sys
from pathlib import Path

import pytest

from bench.drain import Measured, measure, photos, put_all
from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.worker.pictures import decode, error, negated
from tests.worker.pipeline import Pipeline

# Largest difference of any channel, of a JPEG at quality 90 from the exact negative of what its
# source decodes to; lossless kinds have none.
JPEG_ERROR = 4


def drained(
    count: int, folder: Path, moto: ObjectStore, database: PostgreSQL
) -> tuple[Measured, int]:
    """One pass over so many; what it cost and the largest error of a JPEG."""
    uploads, worst = photos(count, (64, 48)), 0
    assert len(set(uploads.values())) == count
    with Pipeline(folder, moto, database, versions=True) as pipeline:
        pipeline.migrate()
        put_all(pipeline, uploads)
        measured = measure(pipeline)
        assert pipeline.left() == []
        assert pipeline.sql(
            "SELECT count(*) AS rows, count(DISTINCT key) AS keys, count(DISTINCT input_sha256) "
            "AS hashes FROM pipeline.results WHERE outcome = 'done'"
        ) == [{"rows": count, "keys": count, "hashes": count}]
        assert len(pipeline.keys(pipeline.output)) == count
        for key, photo in uploads.items():
            off = error(decode(pipeline.get(f"negated_{key}")), negated(photo))
            assert off <= (JPEG_ERROR if key.endswith(".jpg") else 0), key
            worst = max(worst, off)
    return measured, worst


@pytest.mark.skipif(sys.platform != "linux", reason="PSS is Linux's")
def test_a_thousand(tmp_path: Path, moto: ObjectStore, database: PostgreSQL) -> None:
    few, _ = drained(100, tmp_path / "few", moto, database)
    many, worst = drained(1000, tmp_path / "many", moto, database)
    print(f"{1000 / many.seconds:.0f} images a second, largest error of a JPEG {worst}")
    print(f"peak PSS {few.peak_pss >> 20} MB at 100, {many.peak_pss >> 20} MB at 1,000")
    assert many.peak_pss <= 1.2 * few.peak_pss
