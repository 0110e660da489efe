"""Three pipelines, one of them fed by another: exact results, changes, deletion.

The tests of this module use one stack and follow one another; data are protected.
"""

import io
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from tests.checkout import Checkout
from tests.engine.test_local_stack import change, outputs, resources, s3
from tests.eventually import eventually

PHOTOS = 300
FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP"}
NAMES = [
    f"{number:03}.{extension}"
    for number, extension in enumerate(list(FORMATS) * (PHOTOS // len(FORMATS)))
]
#: The pipelines, as the stack of this module has them first.
ALL = ("negatives", "thumbs", "inverted", "empty", "late")


@pytest.fixture(scope="module")
def deployed(shared_checkout: Checkout) -> Iterator[Checkout]:
    """A stack whose pipelines the commands have created, and 300 photos."""
    made = shared_checkout
    change(made, "protectData", value=True)
    made.pipeline(
        *("pipelines", "create", "thumbs", "--transform", "thumbnail"),
        *("--parameter", "width=64", "--parameter", "height=64"),
    )
    made.pipeline("pipelines", "create", "inverted", "--transform", "negate", "--from", "thumbs")
    (made.folder / "more.yaml").write_text("empty: {transform: copy}\nlate: {transform: copy}\n")
    made.pipeline("pipelines", "create", "-f", "more.yaml")
    assert states(made) == dict.fromkeys(ALL, "to be created")
    make_photos(made.folder / "album")
    made.pipeline("up")
    made.await_tables()
    yield made


def make_photos(folder: Path) -> None:
    """Small photos in a mix of formats, no two of them equal."""
    folder.mkdir()
    dice = random.Random(11)  # noqa: S311
    for name in NAMES:
        size = (dice.randrange(70, 120), dice.randrange(70, 120))
        colours = [Image.linear_gradient("L").resize(size) for _ in range(3)]
        colours[0] = colours[0].point([dice.randrange(256)] * 256)
        colours[1] = colours[1].rotate(180)
        Image.merge("RGB", colours).save(folder / name, FORMATS[name.partition(".")[2]])


def states(checkout: Checkout) -> dict[str, str]:
    """What `pipelines list` says of each pipeline."""
    return {row["name"]: row["state"] for row in checkout.json("pipelines", "list")}


def bucket(checkout: Checkout, pipeline: str, role: str = "output") -> str:
    return str(outputs(checkout)["pipelines"][pipeline][f"{role}Bucket"])


def contents(checkout: Checkout, name: str) -> dict[str, str]:
    """Key -> ETag of all objects in a bucket."""
    pages = s3(checkout).get_paginator("list_objects_v2").paginate(Bucket=name)
    return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", ())}


def picture(checkout: Checkout, name: str, key: str) -> Image.Image:
    body = s3(checkout).get_object(Bucket=name, Key=key)["Body"].read()
    return Image.open(io.BytesIO(body))


def rows(checkout: Checkout, pipeline: str) -> list[dict[str, Any]]:
    """All rows of a pipeline, oldest first."""
    found = checkout.json("log", "--last", "0")
    return [row for row in found if row["pipeline"] == pipeline]


def is_idle(checkout: Checkout, done: int) -> bool:
    answer = checkout.json("status")
    return bool(answer["backlog"]["count"] == 0 and answer["done"] == done)


def is_negative(one: Image.Image, other: Image.Image) -> bool:
    difference = ImageChops.difference(ImageChops.invert(one.convert("RGB")), other.convert("RGB"))
    return max(int(high) for _, high in difference.getextrema()) <= 40  # type: ignore[misc]


def test_photos_give_exact_rows_and_results(deployed: Checkout) -> None:
    for pipeline in ("negatives", "thumbs"):
        deployed.pipeline("put", "album", "--pipeline", pipeline)
    eventually(lambda: is_idle(deployed, done=3 * PHOTOS), seconds=300, every=2)
    keys = {f"album/{name}" for name in NAMES}
    thumbs = set(contents(deployed, bucket(deployed, "thumbs")))
    for pipeline, inputs in (("negatives", keys), ("thumbs", keys), ("inverted", thumbs)):
        found = rows(deployed, pipeline)
        assert Counter(row["outcome"] for row in found) == {"done": PHOTOS}
        assert Counter(row["input_key"] for row in found) == Counter(inputs)
        results = Counter(row["output_key"] for row in found)
        assert results == Counter(list(contents(deployed, bucket(deployed, pipeline))))
        assert len(results) == PHOTOS
        assert contents(deployed, bucket(deployed, pipeline, "input")) == {}
    jobs = deployed.json("jobs", "--last", "0")
    assert Counter(job["state"] for job in jobs) == {"done": 3 * PHOTOS}
    assert len({job["id"] for job in jobs}) == 3 * PHOTOS
    runs = {name: {job["run"] for job in jobs if job["pipeline"] == name} for name in ALL[:3]}
    assert runs["inverted"] == runs["thumbs"]
    assert [len(each) for each in runs.values()] == [PHOTOS] * 3


def test_results_are_what_the_transforms_make(deployed: Checkout) -> None:
    made = {row["input_key"]: row["output_key"] for row in rows(deployed, "thumbs")}
    inverted = {row["input_key"]: row["output_key"] for row in rows(deployed, "inverted")}
    for name in NAMES[: len(FORMATS)]:
        photo = Image.open(deployed.folder / "album" / name)
        key = f"album/negated_{name}"
        assert is_negative(photo, picture(deployed, bucket(deployed, "negatives"), key))
        thumb = picture(deployed, bucket(deployed, "thumbs"), made[f"album/{name}"])
        assert max(thumb.size) == 64
        last = inverted[made[f"album/{name}"]]
        assert is_negative(thumb, picture(deployed, bucket(deployed, "inverted"), last))


def test_deployed_pipelines_are_listed(deployed: Checkout) -> None:
    assert states(deployed) == dict.fromkeys(ALL, "deployed")
    refused = deployed.pipeline("put", "samples/cat.jpg", code=1).stderr
    assert "empty, inverted, late, negatives, thumbs" in refused
    refused = deployed.pipeline("put", "samples/cat.jpg", "--pipeline", "thumb", code=1).stderr
    assert "no pipeline 'thumb'" in refused


@pytest.mark.long
def test_update_of_one_pipeline_keeps_the_data_of_all(deployed: Checkout) -> None:
    data = ("Container", "BucketContents", "BucketClaim", "TroveInstance")
    before = {
        each["urn"]: each["id"] for each in resources(deployed) if each["type"].endswith(data)
    }
    held = {name: contents(deployed, bucket(deployed, name)) for name in ALL}
    assert len(before) > 3 * len(ALL)
    (deployed.folder / "thumbs.json").write_text(
        '{"thumbs": {"transform": "thumbnail", "parameters": {"width": 32, "height": 32}}}'
    )
    deployed.pipeline("pipelines", "update", "-f", "thumbs.json")
    deployed.pipeline("up")
    assert before == {
        each["urn"]: each["id"] for each in resources(deployed) if each["type"].endswith(data)
    }
    assert held == {name: contents(deployed, bucket(deployed, name)) for name in ALL}
    deployed.pipeline("put", "samples/cat.jpg", "--pipeline", "thumbs")
    eventually(lambda: is_idle(deployed, done=3 * PHOTOS + 2), seconds=300, every=2)
    last = rows(deployed, "thumbs")[-1]
    assert max(picture(deployed, bucket(deployed, "thumbs"), last["output_key"]).size) == 32


def test_pipeline_with_objects_or_readers_is_not_deleted(deployed: Checkout) -> None:
    refused = deployed.pipeline("pipelines", "delete", "thumbs", code=1).stderr
    assert "'thumbs' is read by inverted" in refused
    refused = deployed.pipeline("pipelines", "delete", "inverted", code=1).stderr
    name = bucket(deployed, "inverted")
    assert f"{len(contents(deployed, name))} objects in bucket {name}" in refused
    assert "'./pipeline pipelines delete inverted --data' deletes them too" in refused
    assert "No change." in deployed.pipeline("preview").stdout


@pytest.mark.long
def test_object_that_arrives_before_up_is_not_lost(deployed: Checkout) -> None:
    """`empty` and `late` are deleted while they are empty; then an object comes to `late`."""
    gone = [bucket(deployed, name, role) for name in ALL[3:] for role in ("input", "output")]
    late = bucket(deployed, "late")
    for name in ALL[3:]:
        deployed.pipeline("pipelines", "delete", name)
    assert states(deployed)["late"] == "to be removed"
    s3(deployed).put_object(Bucket=late, Key="only copy.jpg", Body=b"the only copy")
    refused = deployed.pipeline("up", code=1).stderr
    assert late in refused
    assert "pipelines delete late --data" in refused
    body = s3(deployed).get_object(Bucket=late, Key="only copy.jpg")["Body"].read()
    assert body == b"the only copy"
    deployed.pipeline("pipelines", "delete", "late", "--data", "--yes")
    deployed.pipeline("up")
    assert set(states(deployed)) == set(ALL[:3])
    left = {each["Name"] for each in s3(deployed).list_buckets()["Buckets"]}
    assert left.isdisjoint(gone)
    assert "No change." in deployed.pipeline("preview").stdout


@pytest.mark.long
def test_data_are_deleted_if_asked_for_and_no_other(deployed: Checkout) -> None:
    gone = [bucket(deployed, "inverted", role) for role in ("input", "output")]
    kept = {name: contents(deployed, bucket(deployed, name)) for name in ALL[:2]}
    protected = {each["urn"] for each in resources(deployed) if each.get("protect")}
    deployed.pipeline("pipelines", "delete", "inverted", "--data", "--yes")
    lifted = protected - {each["urn"] for each in resources(deployed) if each.get("protect")}
    assert lifted
    assert all("inverted" in urn for urn in lifted)
    deployed.pipeline("up")
    left = {each["Name"] for each in s3(deployed).list_buckets()["Buckets"]}
    assert left.isdisjoint(gone)
    assert kept == {name: contents(deployed, bucket(deployed, name)) for name in ALL[:2]}


def test_destroy_leaves_nothing(deployed: Checkout) -> None:
    assert "protectData" in deployed.pipeline("destroy", code=1).stderr
    deployed.pipeline("destroy", "--data")
    assert not (deployed.folder / ".local").exists()
    assert (deployed.folder / "pipelines.local.yaml").exists()
