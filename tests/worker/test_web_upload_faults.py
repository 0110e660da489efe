"""Uploads over HTTP while the store, the database or the stack's settings do not let them in."""

import asyncio
import hashlib
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import IncompleteRead
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.proxy import Act, Break, Proxy
from bench.proxy import Response as ProxyResponse
from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.eventually import eventually
from tests.ports import reserved_port
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from tests.worker.scripted_store import Request, error, response, serving
from tests.worker.web_server import WebServer
from tests.worker.web_uploads import form, job, post, put, refused
from worker import settings
from worker.web.incoming_files import IncomingFiles
from worker.web.memory import Memory
from worker.web.rate_limit import RateLimit
from worker.web.state import State

PNG = encode(picture(1), "PNG")
Table = dict[str, object]


@contextmanager
def served(pipeline: Pipeline, **tables: Table) -> Iterator[WebServer]:
    before = pipeline.tables
    pipeline.tables = before | tables
    pipeline.configure()
    pipeline.tables = before
    with WebServer(pipeline) as server:
        yield server


class Script:
    """A store: keys that it refuses, or whether it is down."""

    def __init__(self) -> None:
        self.refused: dict[str, bytes] = {}
        self.is_down = False
        self.responds = threading.Event()
        self.responds.set()

    def __call__(self, request: Request) -> bytes:
        key = request.path.rpartition("/")[2]
        self.responds.wait()
        if self.is_down:
            return b""
        if request.method == "PUT" and key in self.refused:
            return self.refused[key]
        if request.method == "GET":  # no versions, and nothing is stored
            return response(200, "<L><IsTruncated>false</IsTruncated></L>")
        if "uploads" in request.query:
            return response(200, "<Made><UploadId>1</UploadId></Made>")
        if request.method == "POST":
            return error(400, "InvalidPart")
        etag = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        return response(200, ETag=f'"{etag}"')


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, moto: ObjectStore, database: PostgreSQL
) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("upload")
    with Pipeline(folder, moto, database, versions=True) as made:
        made.migrate()
        yield made


@pytest.fixture(scope="module")
def scripted(stack: Pipeline) -> Iterator[tuple[WebServer, Script, list[Request]]]:
    script = Script()
    with (
        serving(script) as (endpoint, requests),
        served(stack, store={"endpoint": endpoint}) as server,
    ):
        yield server, script, requests


def written(requests: list[Request]) -> list[tuple[str, str]]:
    """Return the requests that change objects."""
    return [
        (one.method, one.path.rpartition("/")[2])
        for one in requests
        if one.method in ("PUT", "DELETE") and "uploads" not in one.query
    ]


@contextmanager
def through(stack: Pipeline, act: Act) -> Iterator[WebServer]:
    """Serve a stack whose store is behind a proxy."""
    address = urlsplit(stack.store.endpoint)
    with (
        Proxy(str(address.hostname), address.port or 80, act) as proxy,
        served(stack, store={"endpoint": f"http://127.0.0.1:{proxy.port}"}) as server,
    ):
        yield server
    stack.sql("TRUNCATE pipeline.uploads")
    for one in stack.s3.list_object_versions(Bucket=stack.input).get("Versions", []):
        stack.s3.delete_object(Bucket=stack.input, Key=one["Key"], VersionId=one["VersionId"])


def is_put(request: bytes, key: str) -> bool:
    return request.startswith(b"PUT ") and f"/{key} ".encode() in request.splitlines()[0]


def refuse_second(_: int, phase: str, request: bytes) -> ProxyResponse | None:
    if phase == "before" and is_put(request, "2.png"):
        return ProxyResponse(error(403, "QuotaExceeded"))
    return None


def test_a_full_store_keeps_no_part_of_a_form(stack: Pipeline) -> None:
    stack.put("1.png", b"older")
    with through(stack, refuse_second) as server:
        answer = post(server, form(("1.png", PNG), ("2.png", PNG)))
        refused(answer, 503, "nothing was stored")
        assert answer.headers["retry-after"]
        assert stack.s3.get_object(Bucket=stack.input, Key="1.png")["Body"].read() == b"older"
        assert stack.sql("SELECT * FROM pipeline.uploads") == []


def test_without_versions_what_replaced_an_older_file_is_kept_and_named(
    unversioned: Pipeline,
) -> None:
    unversioned.put("1.png", b"older")
    with through(unversioned, refuse_second) as server:
        answer = post(server, form(("1.png", PNG), ("2.png", PNG)))
        refused(answer, 503, "may have been stored ('1.png')")
        (file,) = answer.json()["files"]
        assert (
            unversioned.s3.get_object(Bucket=unversioned.input, Key="1.png")["Body"].read() == PNG
        )
        assert job(server, file["token"])["state"] == "waiting"
        assert len(unversioned.sql("SELECT * FROM pipeline.uploads")) == 1


def test_what_was_stored_without_a_response_is_deleted(stack: Pipeline) -> None:
    def act(_: int, phase: str, request: bytes) -> Break | None:
        return Break("close") if phase == "after" and is_put(request, "1.png") else None

    with through(stack, act) as server:
        refused(put(server, "negatives/1.png", PNG), 503, "nothing was stored")
        found = stack.s3.list_object_versions(Bucket=stack.input)
        assert "Versions" not in found
        assert "DeleteMarkers" not in found
        assert stack.sql("SELECT * FROM pipeline.uploads") == []


def test_what_may_have_been_stored_is_named(stack: Pipeline) -> None:
    is_down = False

    def act(_: int, phase: str, request: bytes) -> Break | None:
        nonlocal is_down
        is_down |= phase == "after" and is_put(request, "1.png")
        return Break("close") if is_down else None

    with through(stack, act) as server:
        answer = put(server, "negatives/1.png", PNG)
        refused(answer, 503, "may have been stored ('1.png')")
        is_down = False
        (file,) = answer.json()["files"]
        assert job(server, file["token"])["state"] == "waiting"


@pytest.mark.parametrize("name", ["InvalidRequest", "EntityTooLarge"])
def test_a_store_that_refuses_one_file_is_quoted(
    scripted: tuple[WebServer, Script, list[Request]], name: str
) -> None:
    server, script, _ = scripted
    script.refused = {"1.png": error(400, name)}
    refused(put(server, "negatives/1.png", PNG), 503, name)
    script.refused = {}
    assert put(server, "negatives/1.png", PNG).status == 200
    server.pipeline.sql("TRUNCATE pipeline.uploads")


def test_parts_that_cannot_be_put_together_are_deleted(
    scripted: tuple[WebServer, Script, list[Request]],
) -> None:
    server, _, requests = scripted
    requests.clear()
    refused(put(server, "negatives/large.bin", b"x" * (9 << 20)), 503, "InvalidPart")
    assert written(requests)[-1] == ("DELETE", "large.bin")
    # The page may list its buckets meanwhile.
    assert [one.query for one in requests if one.method == "DELETE"][-1] == {"uploadId": "1"}
    assert server.pipeline.sql("SELECT * FROM pipeline.uploads") == []


def test_a_store_that_is_down_is_reported(
    scripted: tuple[WebServer, Script, list[Request]],
) -> None:
    server, script, _ = scripted
    script.is_down = True
    for size, words in ((9, "may have been"), (9 << 20, "nothing was stored: try again later")):
        answer = put(server, "negatives/1.png", b"x" * size)
        refused(answer, 503, words)
        assert answer.headers["retry-after"] == "10"
    script.is_down = False
    ((token,),) = (
        row.values() for row in server.pipeline.sql("SELECT token FROM pipeline.uploads")
    )
    assert job(server, str(token))["state"] == "missing"
    server.pipeline.sql("TRUNCATE pipeline.uploads")
    assert server.pipeline.sql("SELECT * FROM pipeline.uploads") == []
    (stored,) = put(server, "negatives/1.png", PNG).json()["files"]
    assert stored["bytes"] == len(PNG)
    server.pipeline.sql("TRUNCATE pipeline.uploads")


def test_uploads_to_a_store_that_hangs_leave_the_page_alone(
    scripted: tuple[WebServer, Script, list[Request]],
) -> None:
    server, script, requests = scripted
    requests.clear()
    script.responds.clear()
    with ThreadPoolExecutor(50) as senders:
        try:
            sent = [
                senders.submit(put, server, f"negatives/{number}.png", PNG) for number in range(50)
            ]
            eventually(lambda: sum(one.method == "PUT" for one in requests) > 10)
            recorded = "SELECT DISTINCT batch FROM pipeline.uploads"
            eventually(lambda: len(server.pipeline.sql(recorded)) > 10)
            for path in ("/jobs", "/static/page.css"):
                assert WebServer(server.pipeline, server.port).login().get(path).status == 200
        finally:
            script.responds.set()
        assert {one.result().status for one in sent} == {200}
    server.pipeline.sql("TRUNCATE pipeline.uploads")


def test_downloads_from_a_store_that_hangs_leave_the_page_alone(versioned: Pipeline) -> None:
    versioned.put("broken.png", b"no picture")
    versioned.drain()
    (row,) = versioned.sql("SELECT job_id FROM pipeline.results")
    script = Script()
    with (
        serving(script) as (endpoint, requests),
        served(versioned, store={"endpoint": endpoint}) as server,
        ThreadPoolExecutor(50) as readers,
    ):
        page = WebServer(versioned, server.port).login()
        script.responds.clear()
        requests.clear()
        try:
            for _ in range(50):
                readers.submit(page.get, f"/files/{row['job_id']}/0")
                readers.submit(page.get, f"/jobs/{'0' * 32}")
            eventually(lambda: len(requests) >= 4)
            for path in ("/jobs", "/results", f"/jobs/{row['job_id']}", "/static/page.css"):
                assert page.get(path).status == 200
        finally:
            script.responds.set()


def test_a_zip_file_that_the_store_cuts_off_is_one_sentence_in_the_journal(
    versioned: Pipeline, tmp_path: Path
) -> None:
    is_cut = False

    def act(_: int, phase: str, request: bytes) -> Break | None:
        is_result = request.startswith(b"GET ") and b"negated_1.png" in request.splitlines()[0]
        return Break("close", 100) if is_cut and phase == "after" and is_result else None

    versioned.put("1.png", PNG)
    versioned.drain()
    address = urlsplit(versioned.store.endpoint)
    with (
        Proxy(str(address.hostname), address.port or 80, act) as proxy,
        (tmp_path / "journal").open("w") as journal,
    ):
        versioned.tables |= {"store": {"endpoint": f"http://127.0.0.1:{proxy.port}"}}
        versioned.configure()
        with WebServer(versioned, stdout=journal) as server:
            page = server.login()
            assert page.get("/files/results.zip").status == 200
            is_cut = True
            with pytest.raises(IncompleteRead):
                page.get("/files/results.zip")
    told = (tmp_path / "journal").read_text()
    assert "Traceback" not in told
    assert told.count("A download ended early") == 1


@pytest.mark.parametrize("signal", [SIGTERM, SIGKILL])
def test_parts_of_a_server_that_ended_are_deleted_by_the_next(
    stack: Pipeline, signal: Signals
) -> None:
    def unfinished() -> Any:
        return stack.s3.list_multipart_uploads(Bucket=stack.input).get("Uploads")

    with served(stack) as server:
        connection = socket.create_connection(("127.0.0.1", server.port), 60)
        head = f"PUT /upload/negatives/large HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        head += f"Content-Length: {90 << 20}\r\nAuthorization: Bearer {server.token}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * (20 << 20))
        [begun] = eventually(unfinished)
        upload = {"Key": begun["Key"], "UploadId": begun["UploadId"]}
        # The note that names the upload is written before its first part.
        eventually(lambda: stack.s3.list_parts(Bucket=stack.input, **upload).get("Parts"))
        server.process.send_signal(signal)
        connection.close()
    with served(stack):
        eventually(lambda: not unfinished())
    assert stack.left() == []


def test_keys_that_begin_with_that_of_a_deleted_file_are_not_listed(stack: Pipeline) -> None:
    script, pages = Script(), 0

    def answer(request: Request) -> bytes:
        nonlocal pages
        if "versioning" in request.query:
            return response(200, "<VersioningConfiguration/>")
        if request.query.get("prefix") != "1.png":
            return script(request)
        pages += 1
        key = f"<Key>1.png-{pages}</Key><Size>1</Size><ETag>x</ETag>"
        entry = f"<Contents>{key}<LastModified>2026-11-28T12:00:00Z</LastModified></Contents>"
        is_truncated = str(pages < 50).lower()
        return response(200, f"<L><IsTruncated>{is_truncated}</IsTruncated>{entry}</L>")

    with serving(answer) as (endpoint, _), served(stack, store={"endpoint": endpoint}) as server:
        token = put(server, "negatives/1.png", PNG).json()["files"][0]["token"]
        assert job(server, token)["state"] == "missing"
        assert pages == 1
    stack.sql("TRUNCATE pipeline.uploads")


def test_a_session_that_ends_before_a_page_is_read_is_one_sentence(
    stack: Pipeline, database: PostgreSQL
) -> None:
    def act(_: int, phase: str, data: bytes) -> Break | None:
        return Break("close") if phase == "before" and b"BEGIN" in data else None

    with (
        Proxy(database.host, database.port, act) as proxy,
        served(stack, database={"host": "127.0.0.1", "port": proxy.port}) as server,
    ):
        answer = server.login().get("/results")
        assert answer.status == 503
        assert "The database failed" in answer.text


def test_without_a_database_nothing_is_stored(stack: Pipeline) -> None:
    with served(stack, database={"port": reserved_port()}) as server:
        answer = put(server, "negatives/1.png", PNG)
        refused(answer, 503, "nothing was stored: try again later")
        assert stack.user not in answer.text
        assert stack.left() == []
        answer = server.get(f"/jobs/u{'0' * 32}", authorization=f"Bearer {server.token}")
        refused(answer, 503, "try again later")


def test_more_uploads_than_a_minute_admits_wait(stack: Pipeline) -> None:
    with served(stack, web={"max_per_minute": 1}) as server:
        (stored,) = put(server, "negatives/1", PNG).json()["files"]
        answer = put(server, "negatives/2", PNG)
        refused(answer, 429, "More than 1 uploads came in a minute")
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert job(server, stored["token"])["state"] == "waiting"
    assert stack.left() == ["1"]


def chained(pipeline: Pipeline) -> None:
    """Add a pipeline that reads the results of the first, and one that gathers them."""
    inputs = {}
    for name in ("thumbs", "sheets"):
        inputs[name] = {kind: f"{pipeline.name}-{name}-{kind}" for kind in ("input", "output")}
        for bucket in inputs[name].values():
            pipeline.make_bucket(bucket)
    pipeline.tables = {
        "pipeline": {"readers": ["thumbs", "sheets"]},
        "pipelines.thumbs": {
            "transform": "thumbnail",
            "sources": ["negatives"],
            **inputs["thumbs"],
        },
        "pipelines.sheets": {
            "transform": "thumbnail",
            "sources": ["negatives"],
            "gather": True,
            "output_key": "{run}/{name}",
            **inputs["sheets"],
        },
    }


def test_a_stack_of_several_pipelines(versioned: Pipeline) -> None:
    chained(versioned)
    with served(versioned) as server:
        refused(put(server, "sheets/1.png", PNG), 400, "reads results only: upload to negatives")
        refused(post(server, form(("1.png", PNG))), 400, "one of negatives, thumbs")
        answer = post(server, form(("1.png", PNG)), "?pipeline=sheets")
        refused(answer, 400, "reads results only")
        refused(post(server, form(("1.png", PNG)), "?pipeline=x"), 404, "one of negatives, thumbs")
        (stored,) = post(server, form(("1.png", PNG)), "?pipeline=negatives").json()["files"]
        versioned.drain(pipeline="negatives")
        found = job(server, stored["token"])
        assert (found["state"], [one["pipeline"] for one in found["results"]]) == (
            "running",
            ["negatives"],
        )
        versioned.drain(pipeline="thumbs")
        found = job(server, stored["token"])
        assert [one["pipeline"] for one in found["results"]] == ["negatives", "thumbs"]
        states = [(one["pipeline"], one["state"]) for one in found["jobs"]]
        assert states == [("negatives", "done"), ("thumbs", "done")]
        for one in found["results"]:
            download = server.get(one["url"], authorization=f"Bearer {server.token}")
            assert hashlib.sha256(download.body).hexdigest() == one["sha256"]


def test_a_retried_file_counts_by_its_last_job(versioned: Pipeline) -> None:
    with served(versioned, limits={"pixels": 383}) as server:
        (stored,) = put(server, "negatives/1.png", PNG).json()["files"]
        versioned.drain()
        found = job(server, stored["token"])
        assert found["state"] == "quarantined"
        versioned.configure()
        (own,) = found["jobs"]
        assert versioned.run("jobs", "retry", own["id"]).returncode == 0
        assert job(server, stored["token"])["state"] == "waiting"
        versioned.drain()
        found = job(server, stored["token"])
        assert (found["state"], found["reason"], len(found["results"])) == ("done", None, 1)
        assert [one["state"] for one in found["jobs"]] == ["done"]


def test_the_rate_is_that_of_a_minute() -> None:
    now = [0.0]
    rate = RateLimit(6, lambda: now[0])
    assert [rate.admit() for _ in range(8)] == [0] * 6 + [10, 10]
    now[0] = 9
    assert rate.admit() == 1
    now[0] = 10
    assert [rate.admit(), rate.admit()] == [0, 10]
    now[0] = 10_000
    assert [rate.admit() for _ in range(7)] == [0] * 6 + [10]


def test_small_pieces_of_a_body_need_no_more_memory_than_large_ones(
    stack: Pipeline,
) -> None:
    count, loaded = 100_000, settings.load(stack.settings, {}, ())

    async def receive() -> int:
        async with Memory(1 << 20, 1 << 20).share() as share:
            (pipeline,) = loaded.pipelines.values()
            files = IncomingFiles(State(loaded), pipeline, share)
            files.begin("a.png", "image/png")
            tracemalloc.start()
            try:
                for number in range(count):
                    await files.add(number.to_bytes(4, "big"))
                return tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()

    assert asyncio.run(receive()) < 2 * 4 * count


def test_requests_wait_for_memory_but_the_oldest() -> None:
    """It gets what it needs in any case, so that not all wait for one another."""

    async def check() -> list[str]:
        memory, order = Memory(most=10, reserve=20), list[str]()

        async def take(share: Any, count: int, name: str) -> None:
            await share.take(count)
            order.append(name)

        async with memory.share() as oldest:
            await oldest.take(2)
            async with memory.share() as second, memory.share() as third:
                await take(second, 8, "second")
                waiting = asyncio.create_task(take(third, 5, "third"))
                await take(oldest, 18, "oldest")
                await oldest.give(18)
                await asyncio.sleep(0)
                assert not waiting.done()
                await second.give(8)
                await waiting
            assert third.held == 5
        async with memory.share() as alone:
            await take(alone, 10, "all")
        return order

    assert asyncio.run(check()) == ["second", "oldest", "third", "all"]
