"""A bucket that is mounted as a folder: how often an object is written depends on the program."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from tests.clients.at_work import at_work, check, photos, run
from tests.clients.mounts import needs_fuse, rclone, rclone_without_cache, s3fs
from tests.eventually import eventually
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

Mount = Callable[[Path, ObjectStore, str], AbstractContextManager[Path]]
BOTH = pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)
PHOTO = encode(picture(), "PNG")


@needs_fuse
@BOTH
@pytest.mark.parametrize("mounted", [s3fs, rclone_without_cache])
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


#: Ways in which programs write "$2" with the content of "$1".
WAYS = (
    'cp "$1" "$2"',
    'cp -p "$1" "$2"',
    'cat "$1" >"$2"',
    'cp "$1" "$2.part"; mv "$2.part" "$2"',
    'rsync -a "$1" "$2"',
    'install -m 600 "$1" "$2"; touch "$2"; chmod 644 "$2"',
    # One file, written by several processes, the last of them after the write-back time.
    '(head -c 100 "$1"; sleep 6; tail -c +101 "$1") >"$2"',
)


@needs_fuse
@BOTH
def test_each_file_is_one_upload_however_it_is_written(pipeline: Pipeline, tmp_path: Path) -> None:
    """By the documented mount. Processed files go from its folder, and results come to another."""
    made, results = photos(tmp_path / "photos", len(WAYS)), tmp_path / "results"
    results.mkdir()
    with at_work(pipeline, grace=10) as store:
        with rclone(tmp_path, store, pipeline.input) as folder:
            for way, name in zip(WAYS, made, strict=True):
                run("sh", "-ec", way, "sh", tmp_path / "photos" / name, folder / name)
            eventually(lambda: len(pipeline.rows()) == len(made))
            eventually(lambda: not list(folder.iterdir()))
        with rclone(results, store, pipeline.output, which="RESULTS") as folder:
            for name, data in made.items():
                found = (folder / f"negated_{name}").read_bytes()
                assert error(decode(found), negated(data)) == 0, name
    check(pipeline, made)


@needs_fuse
@pytest.mark.parametrize("end", [None, signal.SIGKILL])
def test_what_a_mount_has_not_uploaded_is_uploaded_by_the_next(
    versioned: Pipeline, tmp_path: Path, end: signal.Signals | None
) -> None:
    """Neither unmounting nor a power cut sends what is in the cache, or loses it."""
    made = photos(tmp_path / "photos", 3)
    with at_work(versioned) as store:
        later = ("--vfs-write-back", "1h")
        with rclone(tmp_path, store, versioned.input, more=later, end=end) as folder:
            run("cp", *sorted((tmp_path / "photos").iterdir()), folder)
        assert not versioned.left()
        assert not versioned.rows()
        with rclone(tmp_path, store, versioned.input):
            eventually(lambda: len(versioned.rows()) == len(made))
    check(versioned, made)


def test_an_object_that_is_written_in_steps(pipeline: Pipeline) -> None:
    """The requests of s3fs, with any time between the first two: its content comes late."""
    bucket, key = pipeline.input, "x.png"
    with at_work(pipeline):
        pipeline.put(key, b"")
        pipeline.put("other.png", encode(picture(1), "PNG"))
        eventually(lambda: "other.png" in {row["key"] for row in pipeline.rows()})
        assert key in pipeline.left()
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
