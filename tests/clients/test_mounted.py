"""A bucket that is mounted as a folder: how often an object is written depends on the program."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from tests.clients.at_work import at_work, check, photos, run
from tests.clients.mounts import needs_fuse, rclone, s3fs
from tests.eventually import eventually
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

Mount = Callable[[Path, ObjectStore, str], AbstractContextManager[Path]]
BOTH = pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)
PHOTO = encode(picture(), "PNG")


@needs_fuse
@BOTH
@pytest.mark.parametrize("mounted", [s3fs, rclone])
def test_each_file_is_one_job(pipeline: Pipeline, mounted: Mount, tmp_path: Path) -> None:
    """s3fs sends one PUT for `cp`, and one without content before it for a shell's `>`."""
    made = photos(tmp_path / "photos", 4)
    with at_work(pipeline) as store, mounted(tmp_path, store, pipeline.input) as folder:
        for command, name in zip(['cp "$1" "$2"', 'cat "$1" >"$2"'] * 2, made, strict=True):
            run("sh", "-ec", command, "sh", tmp_path / "photos" / name, folder / name)
    check(pipeline, made)


@needs_fuse
@BOTH
def test_attributes_can_be_changed_after_writing(pipeline: Pipeline, tmp_path: Path) -> None:
    """s3fs copies the object onto itself: another upload of the same bytes."""
    (tmp_path / "x.png").write_bytes(PHOTO)
    with at_work(pipeline) as store, s3fs(tmp_path, store, pipeline.input) as folder:
        run("cp", tmp_path / "x.png", folder)
        run("chmod", "600", folder / "x.png")
    check_uploads(pipeline)


def test_an_object_that_is_written_in_steps(pipeline: Pipeline) -> None:
    """The requests of s3fs, with any time between the first two: its content comes late."""
    bucket, key = pipeline.input, "x.png"
    with at_work(pipeline):
        pipeline.put(key, b"")
        pipeline.put("other.png", encode(picture(1), "PNG"))
        eventually(lambda: "other.png" in {row["key"] for row in pipeline.rows()})
        eventually(lambda: pipeline.left() == [key])
        pipeline.put(key, PHOTO)
        pipeline.s3.copy_object(
            Bucket=bucket,
            Key=key,
            CopySource={"Bucket": bucket, "Key": key},
            MetadataDirective="REPLACE",
            Metadata={"mode": "33152"},
        )
        pipeline.s3.head_object(Bucket=bucket, Key=key)
    check_uploads(pipeline)


def check_uploads(pipeline: Pipeline) -> None:
    """Check that x.png was processed, and nothing refused.

    In a bucket with versions the copy is another upload; elsewhere it replaces the first, which may
    have been processed before.
    """
    rows = [row for row in pipeline.rows() if row["key"] == "x.png"]
    assert {row["outcome"] for row in rows} == {"done"}
    assert len(rows) in ([2] if pipeline.versions else [1, 2])
    assert error(decode(pipeline.get("negated_x.png")), negated(PHOTO)) == 0
