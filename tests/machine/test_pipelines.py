"""Several pipelines on one machine: each does its work, and none hinders the others."""

import io
from pathlib import Path

import boto3
import pytest
from PIL import Image, ImageChops

from tests.machine.guest import NAMES, Guest, eventually

PHOTOS = 100
SAMPLES = ("cat.jpg", "coffee.png", "rocket.jpg")
SIZE = (122, 134)  # twice that of a thumbnail


def make_photos(folder: Path) -> dict[str, Image.Image]:
    """Write distinct pictures; return them by name."""
    folder.mkdir()
    pictures = {
        f"{number:03}.png": Image.new("RGB", SIZE, (number, 2 * number, 255 - number))
        for number in range(PHOTOS)
    }
    for name, picture in pictures.items():
        picture.save(folder / name)
    return pictures


def results(guest: Guest, pipeline: str, prefix: str) -> dict[str, Image.Image]:
    """Return the pictures below a prefix of a pipeline's output bucket, by the rest of the key."""
    values = guest.checkout.json("outputs", "--show-secrets")
    client = boto3.client(
        "s3",
        endpoint_url=values["s3Endpoint"],
        aws_access_key_id=values["s3AccessKey"],
        aws_secret_access_key=values["s3SecretKey"],
        region_name="us-east-1",
    )
    bucket = values["pipelines"][pipeline]["outputBucket"]
    found = {}
    for listed in client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        body = client.get_object(Bucket=bucket, Key=listed["Key"])["Body"].read()
        found[listed["Key"].removeprefix(prefix)] = Image.open(io.BytesIO(body)).convert("RGB")
    return found


def await_rows(guest: Guest, pipeline: str, prefix: str) -> list[str]:
    """Return the keys of a pipeline's done rows below a prefix, once there are all; sorted."""

    def keys() -> list[str]:
        rows = [row for row in guest.rows(pipeline) if row["input_key"].startswith(prefix)]
        return sorted(row["input_key"] for row in rows if row["outcome"] == "done")

    eventually(lambda: len(keys()) >= PHOTOS, what=f"the rows of {pipeline}")
    return keys()


def test_three_pipelines_do_their_work_side_by_side(guest: Guest, tmp_path: Path) -> None:
    """300 jobs; `inverted` negates what `thumbs` makes, and a negative of a PNG is exact."""
    folder, prefix = tmp_path / guest.suite, f"{guest.suite}/"
    pictures = make_photos(folder)
    for pipeline in ("negatives", "thumbs"):
        guest.checkout.pipeline("put", str(folder), "--pipeline", pipeline)
    for pipeline in NAMES:
        assert await_rows(guest, pipeline, prefix) == [f"{prefix}{name}" for name in pictures]
    eventually(guest.is_idle, what="all is done")
    thumbs = results(guest, "thumbs", prefix)
    assert {thumb.size for thumb in thumbs.values()} == {(61, 67)}
    assert sorted(thumbs) == sorted(pictures)
    for pipeline, inputs in (("inverted", thumbs), ("negatives", pictures)):
        made = results(guest, pipeline, prefix)
        assert sorted(made) == [f"negated_{name}" for name in pictures]
        for name, picture in inputs.items():
            expected = ImageChops.invert(picture).tobytes()
            assert made[f"negated_{name}"].tobytes() == expected, (pipeline, name)


@pytest.mark.parametrize("guest", ["bookworm"], indirect=True)
def test_stalled_pipeline_stops_no_other(guest: Guest) -> None:
    unit = "pipeline-worker@thumbs.service"
    drop_in = f"/run/systemd/system/{unit}.d/stalled.conf"
    # Otherwise the watchdog kills it after a minute.
    guest.write(drop_in, "[Service]\nWatchdogSec=0")
    guest.shell(
        f"systemctl daemon-reload; systemctl restart {unit}; systemctl kill --signal=STOP {unit}"
    )
    try:
        before = len(guest.rows("thumbs"))
        guest.put("cat.jpg", pipeline="thumbs")
        assert [row["outcome"] for row in guest.negate(*SAMPLES)] == ["done"] * len(SAMPLES)
        assert len(guest.rows("thumbs")) == before  # it was stalled
    finally:
        guest.shell(
            f"rm {drop_in}; systemctl daemon-reload; systemctl kill --signal=CONT {unit}; "
            f"systemctl restart --no-block {unit}"
        )
    eventually(lambda: len(guest.rows("thumbs")) == before + 1, what="the stalled one goes on")
