"""Uploads over Swift, as CSC's allas-conf configures rclone, to a pipeline that reads over S3.

Large files are sent in segments, to a container beside the input bucket; in the bucket is a
manifest without content, a dynamic (rclone) or a static one (python-swiftclient).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.clients.at_work import at_work, check, photos, run
from tests.openstack.ceph.project import Project
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

BOTH = pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)
LARGE = encode(picture(1, (1800, 1400)), "PNG", compress_level=0)


@contextmanager
def rclone(pipeline: Pipeline, project: Project) -> Iterator[dict[str, str]]:
    """Let the worker process uploads; yields rclone's environment, of which "store" is a remote."""
    with at_work(pipeline, empty=0) as store:  # a dynamic manifest is listed as an empty object
        url = project.storage_url.replace(project.endpoint, store.endpoint)
        yield {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_STORE_TYPE": "swift",
            "RCLONE_CONFIG_STORE_ENV_AUTH": "true",
            "OS_STORAGE_URL": url,
            "OS_AUTH_TOKEN": project.token,
        }


@BOTH
def test_each_file_is_processed_once(pipeline: Pipeline, project: Project, tmp_path: Path) -> None:
    made = photos(tmp_path / "photos", 50)
    with rclone(pipeline, project) as environment:
        run("rclone", "copy", tmp_path / "photos", f"store:{pipeline.input}", **environment)
    check(pipeline, made)


@BOTH
def test_a_file_in_segments(pipeline: Pipeline, project: Project, tmp_path: Path) -> None:
    """The segments stay, since another object may consist of them; the row says so."""
    (tmp_path / "large.png").write_bytes(LARGE)
    with rclone(pipeline, project) as environment:
        segments, target = ("--swift-chunk-size", "4Mi"), f"store:{pipeline.input}"
        run("rclone", *segments, "copy", tmp_path / "large.png", target, **environment)
    check(pipeline, {"large.png": LARGE})
    assert len(project.listed(f"{pipeline.input}_segments")) == 2
    assert [row["notes"] for row in pipeline.rows()] == [["segments of Swift's remain"]]


@BOTH
def test_a_static_manifest(pipeline: Pipeline, project: Project) -> None:
    container = f"{pipeline.input}_segments"
    project.make_container(container)
    manifest = []
    for number, start in enumerate(range(0, len(LARGE), 4 << 20)):
        segment = LARGE[start : start + (4 << 20)]
        etag = put(project, f"{container}/large.png/{number}", segment)
        path = f"{container}/large.png/{number}"
        manifest.append({"path": path, "etag": etag, "size_bytes": len(segment)})
    with at_work(pipeline, empty=0):
        query = "?multipart-manifest=put"
        put(project, f"{pipeline.input}/large.png{query}", json.dumps(manifest).encode())
    check(pipeline, {"large.png": LARGE})


@BOTH
def test_segments_are_kept_with_the_input(
    pipeline: Pipeline, project: Project, tmp_path: Path
) -> None:
    """A server-side copy of a manifest would be an empty object."""
    archive = f"{pipeline.name}-archive"
    project.make_container(archive)
    pipeline.tables |= {"store": {"archive": archive}, "pipeline": {"keep_inputs": True}}
    (tmp_path / "large.png").write_bytes(LARGE)
    with rclone(pipeline, project) as environment:
        segments, target = ("--swift-chunk-size", "4Mi"), f"store:{pipeline.input}"
        run("rclone", *segments, "copy", tmp_path / "large.png", target, **environment)
    (key,) = pipeline.keys(archive)
    assert pipeline.s3.get_object(Bucket=archive, Key=key)["Body"].read() == LARGE


def put(project: Project, path: str, body: bytes) -> str:
    """Put an object over Swift and return its ETag."""
    headers = {"X-Auth-Token": project.token}
    request = Request(f"{project.storage_url}/{path}", body, headers, method="PUT")  # noqa: S310
    with urlopen(request) as answer:  # noqa: S310  our own http endpoint
        return str(answer.headers["etag"])
