"""rclone reads every object back after its upload; one that is gone makes it upload all again."""

from pathlib import Path

import pytest

from tests.clients.at_work import at_work, check, keys_of, photos, run
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

BOTH = pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)


@pytest.mark.parametrize(
    ("pipeline", "count"), [("versions", 400), ("plain", 100)], indirect=["pipeline"]
)
def test_each_file_is_uploaded_and_processed_once(
    pipeline: Pipeline, count: int, tmp_path: Path
) -> None:
    made = photos(tmp_path / "photos", count)
    with at_work(pipeline) as store:
        keys = keys_of("rclone", store, tmp_path / "rclone.conf")
        run("rclone", "--config", keys, "copy", tmp_path / "photos", f"store:{pipeline.input}")
    check(pipeline, made)


@BOTH
def test_files_that_were_moved_are_processed(pipeline: Pipeline, tmp_path: Path) -> None:
    made = photos(tmp_path / "photos", 10)
    with at_work(pipeline) as store:
        keys = keys_of("rclone", store, tmp_path / "rclone.conf")
        run("rclone", "--config", keys, "move", tmp_path / "photos", f"store:{pipeline.input}")
    assert not list((tmp_path / "photos").iterdir())
    check(pipeline, made)


@BOTH
def test_a_file_in_parts(pipeline: Pipeline, tmp_path: Path) -> None:
    photo = encode(picture(1, (1800, 1400)), "PNG", compress_level=0)
    (tmp_path / "large.png").write_bytes(photo)
    with at_work(pipeline) as store:
        keys = keys_of("rclone", store, tmp_path / "rclone.conf")
        parts = ("--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi")
        target = f"store:{pipeline.input}"
        run("rclone", "--config", keys, *parts, "copy", tmp_path / "large.png", target)
    check(pipeline, {"large.png": photo})
