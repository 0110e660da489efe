"""The upload API over HTTP: what is stored, what is refused, and what a sender learns later."""

import hashlib
import secrets
import socket
from collections.abc import Iterator, Mapping

import pytest

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.eventually import eventually
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from tests.worker.web_server import WebServer
from tests.worker.web_uploads import BOUNDARY, FORM, form, job, post, put, refused

PNG = encode(picture(1), "PNG")


@pytest.fixture(scope="module", params=["moto", "rclone"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database: PostgreSQL
) -> Iterator[WebServer]:
    """A server of a stack on a store with versions, and on one without and which forgets."""
    store: ObjectStore = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("upload")
    with Pipeline(folder, store, database, versions=request.param == "moto") as pipeline:
        pipeline.tables = {"web": {"max_file_mb": 20, "max_files": 5}}
        pipeline.configure()
        pipeline.migrate()
        with WebServer(pipeline) as made:
            yield made


@pytest.fixture
def empty(server: WebServer) -> Iterator[WebServer]:
    """The same, whose input bucket is emptied after the test."""
    yield server
    pipeline = server.pipeline
    pipeline.sql("TRUNCATE pipeline.uploads")
    for key in set(pipeline.left()):
        if pipeline.versions:
            pages = pipeline.s3.list_object_versions(Bucket=pipeline.input, Prefix=key)
            for one in pages.get("Versions", []) + pages.get("DeleteMarkers", []):
                where = {"Bucket": pipeline.input, "Key": one["Key"]}
                pipeline.s3.delete_object(**where, VersionId=one["VersionId"])
        else:
            pipeline.s3.delete_object(Bucket=pipeline.input, Key=key)


def content(server: WebServer, key: str) -> bytes:
    pipeline = server.pipeline
    return bytes(pipeline.s3.get_object(Bucket=pipeline.input, Key=key)["Body"].read())


def token(server: WebServer, key: str) -> str:
    """Return what the metadata of an object says; rclone capitalises the name."""
    pipeline = server.pipeline
    found = pipeline.s3.head_object(Bucket=pipeline.input, Key=key)
    assert found["ContentType"] == "image/png"
    metadata = {name.lower(): str(value) for name, value in found["Metadata"].items()}
    return metadata["upload"]


def drain(server: WebServer) -> None:
    assert isinstance(server.pipeline, Pipeline)
    server.pipeline.drain()


def test_a_form_is_stored(empty: WebServer) -> None:
    files = [("cat.png", PNG), ("holiday/ü 猫/cat.png", PNG + b"2"), ("C:\\x\\a.png", b"3")]
    response = post(empty, form(*files, field="whatever"))
    assert response.status == 200, response.text
    stored = response.json()["files"]
    keys = ["cat.png", "holiday/ü 猫/cat.png", "a.png"]
    assert [one["key"] for one in stored] == keys
    for one, (_, body) in zip(stored, files, strict=True):
        assert (one["pipeline"], one["bytes"]) == ("negatives", len(body))
        assert one["sha256"] == hashlib.sha256(body).hexdigest()
        assert content(empty, one["key"]) == body
        assert job(empty, one["token"])["state"] == "waiting"
    assert sorted(empty.pipeline.left()) == sorted(keys)
    assert token(empty, "cat.png") == stored[0]["token"]


def test_a_body_is_stored(empty: WebServer) -> None:
    response = put(empty, "negatives/a/b%20%2Bc.png", PNG)
    assert response.status == 200, response.text
    assert [one["key"] for one in response.json()["files"]] == ["a/b +c.png"]
    assert content(empty, "a/b +c.png") == PNG


def test_a_body_that_its_client_calls_a_form_is_stored_as_it_is(empty: WebServer) -> None:
    """As `curl --data-binary` does with any file."""
    kind = {"content_type": "application/x-www-form-urlencoded"}
    response = put(empty, "negatives/form.png", b"a=1&b=2", **kind)
    assert response.status == 200, response.text
    assert content(empty, "form.png") == b"a=1&b=2"


@pytest.mark.parametrize("size", [(8 << 20) - 1, 8 << 20, (8 << 20) + 1, 18 << 20])
def test_large_files_are_stored_whole(empty: WebServer, size: int) -> None:
    body = secrets.token_bytes(1 << 20) * (size // (1 << 20) + 1)
    body = body[:size]
    sha256 = hashlib.sha256(body).hexdigest()
    (direct,) = put(empty, "negatives/put.bin", body).json()["files"]
    small = [("1.png", b"1"), ("post.bin", body), ("2.png", b"2")]
    posted = post(empty, form(*small)).json()["files"]
    assert (direct["sha256"], posted[1]["sha256"], posted[1]["bytes"]) == (sha256, sha256, size)
    for key in ("put.bin", "post.bin"):
        assert content(empty, key) == body
        assert token(empty, key).startswith("u")
    assert [content(empty, one["key"]) for one in (posted[0], posted[2])] == [b"1", b"2"]


def test_many_files_that_are_large_together(empty: WebServer) -> None:
    """They are not all held in memory."""
    files = [(f"{number}.bin", secrets.token_bytes(5 << 20)) for number in range(5)]
    stored = post(empty, form(*files)).json()["files"]
    assert [(one["key"], content(empty, one["key"])) for one in stored] == files
    assert len(empty.pipeline.left()) == 5


def test_a_sender_learns_what_became_of_a_file(empty: WebServer) -> None:
    (good,) = put(empty, "negatives/good.png", PNG).json()["files"]
    (bad,) = put(empty, "negatives/bad.png", b"no picture").json()["files"]
    waiting = job(empty, good["token"])
    assert (waiting["state"], waiting["results"], waiting["key"]) == ("waiting", [], "good.png")
    drain(empty)
    done = job(empty, good["token"])
    assert (done["state"], done["reason"], done["token"]) == ("done", None, good["token"])
    (result,) = done["results"]
    assert (result["key"], result["contentType"]) == ("negated_good.png", "image/png")
    (own,) = done["jobs"]
    assert (own["pipeline"], own["state"]) == ("negatives", "done")
    download = empty.get(result["url"], authorization=f"Bearer {empty.token}")
    assert hashlib.sha256(download.body).hexdigest() == result["sha256"]
    assert len(download.body) == result["bytes"]
    assert download.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in download.headers["content-security-policy"]
    quarantined = job(empty, bad["token"])
    assert (quarantined["state"], quarantined["results"]) == ("quarantined", [])
    assert quarantined["reason"]
    missing = empty.get(f"/jobs/{good['token']}/results/2", authorization=f"Bearer {empty.token}")
    refused(missing, 404, "no result 2: its results are 1 to 1")


def test_a_file_that_was_replaced_or_deleted_is_missing(empty: WebServer) -> None:
    (first,) = put(empty, "negatives/x.png", PNG).json()["files"]
    (second,) = put(empty, "negatives/x.png", PNG + b"2").json()["files"]
    expected = "waiting" if empty.pipeline.versions else "missing"
    assert job(empty, first["token"])["state"] == expected
    assert job(empty, second["token"])["state"] == "waiting"
    empty.pipeline.s3.delete_object(Bucket=empty.pipeline.input, Key="x.png")
    found = job(empty, second["token"])
    assert (found["state"], "no longer in" in found["reason"]) == ("missing", True)


def test_files_that_the_pipeline_ignores_are_not_stored(empty: WebServer) -> None:
    response = post(empty, form(("a/.DS_Store", b"x"), ("a/cat.png", PNG), ("Thumbs.db", b"x")))
    assert [one["key"] for one in response.json()["files"]] == ["a/cat.png"]
    assert response.json()["ignored"] == ["a/.DS_Store", "Thumbs.db"]
    assert empty.pipeline.left() == ["a/cat.png"]
    response = put(empty, "negatives/a/.DS_Store", b"x")
    assert response.json() == {"files": [], "ignored": ["a/.DS_Store"]}


CAT = ("cat.png", PNG)
#: A form -> the status and words of the answer.
BAD_FORMS: Mapping[str, tuple[bytes, Mapping[str, str], int, str]] = {
    "cut off in a file": (form(CAT)[:-60], {}, 400, "ends before its closing boundary"),
    "without the closing boundary": (form(CAT, CAT, end=False), {}, 400, "have the name"),
    "cut off between files": (form(CAT, end=False), {}, 400, "ends before its closing boundary"),
    "another boundary": (
        form(CAT).replace(BOUNDARY.encode(), b"another-one"),
        {},
        400,
        "cannot be read",
    ),
    "another last boundary": (
        form(CAT, end=False) + b"--another-one--\r\n",
        {},
        400,
        "ends before its closing boundary",
    ),
    "no boundary": (form(CAT), {"content_type": "multipart/form-data"}, 400, "names no boundary"),
    "an endless boundary": (
        form(CAT),
        {"content_type": f"multipart/form-data; boundary={'x' * 5000}"},
        400,
        "cannot be read",
    ),
    "much after its end": (form(CAT) + b"x" * 1_000_000, {}, 400, "goes on after"),
    "an endless header": (b"--the-boundary\r\nX: " + b"x" * 99_999, {}, 400, "cannot be read"),
    "no disposition": (
        b"--the-boundary\r\nX: y\r\n\r\nx\r\n--the-boundary--\r\n",
        {},
        400,
        "no Content-Disposition",
    ),
    "nothing": (b"", {}, 400, "ends before its closing boundary"),
    "no file": (form(), {}, 400, "has no file"),
    "a file without @": (
        b'--the-boundary\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        + b"x" * 2000
        + b"\r\n--the-boundary--\r\n",
        {},
        400,
        "with @",
    ),
    "an empty file": (form(CAT, ("empty.png", b"")), {}, 400, "'empty.png' is empty"),
    "a file too large": (form(CAT, ("large", b"x" * 20_000_001)), {}, 413, "larger than 20 MB"),
    "too many files": (
        form(*((f"{number}.png", PNG) for number in range(6))),
        {},
        413,
        "more than 5 files",
    ),
    "two files of a name": (form(CAT, ("./cat.png", b"x")), {}, 400, "have the name 'cat.png'"),
    "a name that leads elsewhere": (form(CAT, ("a/../../x", PNG)), {}, 400, "'..': leave it out"),
    "a name of nothing": (form(CAT, ("./", PNG)), {}, 400, "is empty: give the file a name"),
    "a name with controls": (form(CAT, ("a\x07b", PNG)), {}, 400, "control characters"),
    "a long name": (form(CAT, ("x/" * 600, PNG)), {}, 400, "longer than 1024 bytes"),
    "a name of other bytes": (
        form(CAT, ("name", PNG)).replace(b'"name"', b'"\xff"'),
        {},
        400,
        "is not UTF-8",
    ),
    "a pipeline after a file": (
        form(CAT, end=False)
        + b'--the-boundary\r\nContent-Disposition: form-data; name="pipeline"\r\n\r\n'
        + b"other\r\n--the-boundary--\r\n",
        {},
        400,
        "before all files",
    ),
    "many files that are ignored": (
        form(*((f"{number}/.DS_Store", PNG) for number in range(6))),
        {},
        413,
        "more than 5 files",
    ),
    "an ignored file too large": (form((".DS_Store", b"x" * 20_000_001)), {}, 413, "20 MB"),
    "no form": (PNG, {"content_type": "image/png"}, 415, "curl -T cat.jpg"),
    "a wrong token": (form(CAT), {"authorization": "Bearer x"}, 401, "./pipeline web --token"),
    "no token": (form(CAT), {"authorization": ""}, 401, "./pipeline web --token"),
}


@pytest.mark.parametrize("server", ["moto"], indirect=True)
@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_bad_form_leaves_nothing(empty: WebServer, name: str) -> None:
    body, headers, status, words = BAD_FORMS[name]
    refused(post(empty, body, **headers), status, words)
    assert empty.pipeline.left() == []
    assert empty.pipeline.sql("SELECT * FROM pipeline.uploads") == []


#: A path, a body, headers -> the status and words of the answer.
BAD_BODIES: list[tuple[str, bytes, Mapping[str, str], int, str]] = [
    ("nobody/x.png", PNG, {}, 404, "no pipeline 'nobody': choose one of negatives"),
    ("negatives/", PNG, {}, 400, "is empty: give the file a name"),
    ("negatives/a//b", PNG, {}, 400, "leave it out"),
    ("negatives/%2e%2e/b", PNG, {}, 400, "leave it out"),
    ("negatives/a%00b", PNG, {}, 400, "control characters"),
    ("negatives/%ff", PNG, {}, 400, "not UTF-8"),
    ("negatives/" + "x" * 1025, PNG, {}, 400, "longer than 1024 bytes"),
    ("negatives/x.png", b"", {}, 400, "is empty"),
    ("negatives/x.png", b"x" * 20_000_001, {}, 413, "larger than 20 MB"),
    ("negatives/x.png", PNG, {"content_encoding": "gzip"}, 415, "send the file as it is"),
    ("negatives/x.png", PNG, {"authorization": "Basic x"}, 401, "./pipeline web --token"),
]


@pytest.mark.parametrize("server", ["moto"], indirect=True)
@pytest.mark.parametrize("path", ["/%75pload/negatives/a/b.png", "/upload/negatives%2Fa/b.png"])
def test_a_path_means_the_same_however_it_is_encoded(empty: WebServer, path: str) -> None:
    headers = {"authorization": f"Bearer {empty.token}"}
    response = empty.request("PUT", path, headers=headers, body=PNG)
    assert [one["key"] for one in response.json()["files"]] == ["a/b.png"]


@pytest.mark.parametrize("server", ["moto"], indirect=True)
@pytest.mark.parametrize("number", range(len(BAD_BODIES)))
def test_a_bad_body_leaves_nothing(empty: WebServer, number: int) -> None:
    path, body, headers, status, words = BAD_BODIES[number]
    refused(put(empty, path, body, **headers), status, words)
    assert empty.pipeline.left() == []


def connect(server: WebServer, start: str, *headers: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), 60)
    lines = [f"{start} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers]
    lines.append(f"Authorization: Bearer {server.token}")
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
    return connection


def received(connection: socket.socket) -> bytes:
    """Return all that the server sends until it closes the connection."""
    data = b""
    while piece := connection.recv(1 << 16):
        data += piece
    return data


def unfinished(server: WebServer) -> list[str]:
    """Return the keys whose parts the store keeps."""
    pipeline = server.pipeline
    found = pipeline.s3.list_multipart_uploads(Bucket=pipeline.input).get("Uploads", [])
    return [one["Key"] for one in found]


@pytest.mark.parametrize("size", [1000, 10 << 20])
def test_a_connection_that_ends_early_leaves_nothing(empty: WebServer, size: int) -> None:
    """Also of a file of which parts are stored already."""
    with connect(empty, "PUT /upload/negatives/x.png", f"Content-Length: {size}") as connection:
        connection.sendall(b"x" * (size - 1))
        if size > 8 << 20:
            eventually(lambda: unfinished(empty), what="a part is stored")
    eventually(lambda: not unfinished(empty), what="the parts are deleted")
    body = form(CAT, ("large.png", b"x" * size))
    start = ("POST /upload", f"Content-Type: {FORM}", f"Content-Length: {len(body)}")
    with connect(empty, *start) as connection:
        connection.sendall(body[:-1])
    (after,) = put(empty, "negatives/after.png", PNG).json()["files"]
    assert empty.pipeline.left() == ["after.png"]
    eventually(lambda: not unfinished(empty), what="the parts are deleted")
    assert job(empty, after["token"])["state"] == "waiting"


def test_an_endless_body_is_refused(empty: WebServer) -> None:
    chunk = f"{1 << 20:x}\r\n".encode() + b"x" * (1 << 20) + b"\r\n"
    with connect(empty, "PUT /upload/negatives/x", "Transfer-Encoding: chunked") as connection:
        for _ in range(20):
            connection.sendall(chunk)
        answer = received(connection)
    assert b" 413 " in answer.partition(b"\r\n")[0]
    assert b"larger than 20 MB" in answer
    assert empty.pipeline.left() == []
    assert unfinished(empty) == []


def test_a_sender_that_waits_for_permission_sends_nothing_in_vain(empty: WebServer) -> None:
    """As curl does with a large file."""
    headers = ("Content-Length: 30000000", "Expect: 100-continue")
    with connect(empty, "PUT /upload/negatives/x", *headers) as connection:
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_longer_than_its_length_is_cut_there(empty: WebServer) -> None:
    """HTTP knows no better: what follows is the next request, and none."""
    body = form(CAT)
    start = ("POST /upload", f"Content-Type: {FORM}", f"Content-Length: {len(body) - 20}")
    with connect(empty, *start) as connection:
        connection.sendall(body)
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert empty.pipeline.left() == []


def test_a_result_of_too_many_digits_is_none(empty: WebServer) -> None:
    stored = put(empty, "negatives/x.png", PNG).json()["files"][0]["token"]
    bearer = f"Bearer {empty.token}"
    response = empty.get(f"/jobs/{stored}/results/{'9' * 5000}", authorization=bearer)
    refused(response, 404, "has no result")


def test_an_unknown_token_is_reported(empty: WebServer) -> None:
    for token in ("u" + "0" * 32, "unknown"):
        response = empty.get(f"/jobs/{token}", authorization=f"Bearer {empty.token}")
        refused(response, 404, f"No file has the token '{token}'")
    refused(empty.get(f"/jobs/u{'0' * 32}"), 401, "./pipeline web --token")
