"""Objects that stores accept, but that stopped every pass or were left out: each becomes a row."""

import pytest

from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

PHOTO = encode(picture(), "PNG")
KEYS = {
    "k"
    * 3500: "quarantined",  # too long for results; moto accepts it; PostgreSQL could not index it
    "folder/": "done",
    "\x01\x1f\x7f.png": "done",
    "carriage\rreturn.png": "done",
    "\ufffe.png": "done",
}


@pytest.mark.parametrize("kind", ["versioned", "unversioned"])
def test_keys_that_few_programs_use(request: pytest.FixtureRequest, kind: str) -> None:
    pipeline: Pipeline = request.getfixturevalue(kind)
    for key in (*KEYS, "\0.png"):
        pipeline.put(key, PHOTO)
    pipeline.put("folder/empty/", b"")
    pipeline.put("photo.png", PHOTO)
    pipeline.drain()
    outcomes = {row["key"]: row["outcome"] for row in pipeline.rows()}
    assert outcomes == {**KEYS, "\ufffd.png": "done", "photo.png": "done"}
    assert pipeline.left() == ["folder/empty/"]


@pytest.mark.parametrize("pipeline", ["plain"], indirect=True)
def test_more_headers_than_pythons_http_client_takes(pipeline: Pipeline) -> None:
    metadata = {f"n{number:02}": "x" for number in range(95)}
    pipeline.put("headers.png", PHOTO, metadata)
    pipeline.put("photo.png", PHOTO)
    pipeline.drain()
    outcomes = {row["key"]: row["outcome"] for row in pipeline.rows()}
    assert outcomes == {"headers.png": "done", "photo.png": "done"}
    assert pipeline.left() == []
