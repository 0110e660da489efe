"""Clients that do not look at what they uploaded: s3cmd, and boto3, on which AWS's CLI is built."""

from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from tests.clients.at_work import at_work, check, keys_of, photos, run
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline, client

BOTH = pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)


@BOTH
def test_s3cmd(pipeline: Pipeline, tmp_path: Path) -> None:
    made, target = photos(tmp_path / "photos", 20), f"s3://{pipeline.input}/"
    large = encode(picture(99, (1800, 1400)), "PNG", compress_level=0)
    (tmp_path / "large.png").write_bytes(large)
    with at_work(pipeline) as store:
        s3cmd = ("s3cmd", "--config", keys_of("s3cmd", store, tmp_path / ".s3cfg"))
        run(*s3cmd, "sync", f"{tmp_path}/photos/", target)
        run(*s3cmd, "--multipart-chunk-size-mb=5", "put", tmp_path / "large.png", target)
    check(pipeline, made | {"large.png": large})


@BOTH
def test_boto3_in_parts(pipeline: Pipeline, tmp_path: Path) -> None:
    photo = encode(picture(1, (1800, 1400)), "PNG", compress_level=0)
    (tmp_path / "large.png").write_bytes(photo)
    least = 5 << 20  # bytes of a part
    with at_work(pipeline) as store:
        client(store).upload_file(
            str(tmp_path / "large.png"),
            pipeline.input,
            "large.png",
            Config=TransferConfig(multipart_threshold=least, multipart_chunksize=least),
        )
    check(pipeline, {"large.png": photo})
