"""A thousand photos: each gets its row and its own negative, and memory does not grow."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import usage
from bench.usage import Usage
from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

# The largest difference of a channel between the negative of a JPEG of quality 90 and the exact
# negative of its decoded source (measured: 3); other formats: none.
JPEG_ERROR = 8
FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "jpg": ("JPEG", {"quality": 90}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"lossless": True}),
}


def photos(count: int, size: tuple[int, int]) -> dict[str, bytes]:
    """Return distinct photos by key, in all formats."""
    made = {}
    for number in range(count):
        ending = list(FORMATS)[number % len(FORMATS)]
        kind, options = FORMATS[ending]
        made[f"{number:06d}.{ending}"] = encode(picture(number, size), kind, **options)
    return made


def one_pass(pipeline: Pipeline) -> Usage:
    """Make a pass and measure it."""
    with (pipeline.folder / "pass.log").open("w") as log:
        return usage.measure(lambda: pipeline.popen("drain", stdout=log), interval=0.02)


def drained(
    count: int,
    folder: Path,
    moto: ObjectStore,
    database: PostgreSQL,
    pipelines: type[Pipeline] = Pipeline,
) -> tuple[Usage, int]:
    """Make a pass over `count` photos; return its costs and the largest error of a JPEG."""
    uploads, worst = photos(count, (64, 48)), 0
    assert len(set(uploads.values())) == count
    with pipelines(folder, moto, database, versions=True) as pipeline:
        pipeline.make_tables()
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(lambda item: pipeline.put(*item), uploads.items()))
        measured = one_pass(pipeline)
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
def test_a_thousand_photos(tmp_path: Path, moto: ObjectStore, database: PostgreSQL) -> None:
    few, _ = drained(100, tmp_path / "few", moto, database)
    many, worst = drained(1000, tmp_path / "many", moto, database)
    print(f"{1000 / many.seconds:.0f} images a second, largest error of a JPEG {worst}")
    print(f"peak PSS {few.peak >> 20} MB at 100, {many.peak >> 20} MB at 1,000")
    assert many.peak <= 1.2 * few.peak
