"""Which failures of the store concern one object, and which all of them; and what is said."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from tests.worker.scripted_store import Request, error, response, scripted
from worker.errors import (
    DeletionRefused,
    ObjectMissing,
    PipelineError,
    ServiceUnavailable,
    UploadDeferred,
)
from worker.store.s3_store import S3Store
from worker.store.store import Source, hash_file


def get(store: S3Store, folder: Path) -> object:
    return store.get("in", "x.png", "v1", "e", folder / "file")


def put(store: S3Store, folder: Path) -> object:
    file = folder / "file"
    file.write_bytes(b"content")
    return store.put("in", "x.png", hash_file(file), "image/png", {})


def delete(store: S3Store, _folder: Path) -> object:
    store.delete_if_unchanged("in", "x.png", "", "e")
    return None


def delete_all(store: S3Store, _folder: Path) -> object:
    failures = store.delete_versions("in", [("x.png", "1"), ("y.png", "2")])
    for failure in failures.values():
        raise failure
    return failures


def head(store: S3Store, _folder: Path) -> object:
    return store.head("in", "x.png")


def listing(store: S3Store, _folder: Path) -> object:
    return list(store.list_pages("in", versions=True))


NOT_HTTP = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
FLOOD = b"HTTP/1.1 200 OK\r\n" + (b"x-amz-meta-a: " + b"b" * 9999 + b"\r\n") * 300 + b"\r\n"
HALF = response(200, b"half", Content_Length="9", Connection="close")
SLOW_DOWN = error(503, "SlowDown")
OVERLOADED = "is overloaded (SlowDown)"


class Case(NamedTuple):
    """A request that ends in an error.

    Attributes:
        request: The request.
        found: The response to it.
        error: The error, of this very class.
        words: What it says.
        probe: The response to the question whether the bucket responds.
    """

    request: Callable[[S3Store, Path], object]
    found: bytes
    error: type[PipelineError]
    words: str
    probe: bytes = response()


CASES = {
    "get, hung up": Case(
        get, b"", UploadDeferred, "for 'x.png' (the store closed the connection without a response)"
    ),
    "get, cut off": Case(get, HALF, UploadDeferred, "for 'x.png' (the response was truncated)"),
    "get, not HTTP": Case(
        get, NOT_HTTP, UploadDeferred, "(the response begins with 'SSH-2.0-OpenSSH_9.2')"
    ),
    "get, flood": Case(get, FLOOD, UploadDeferred, "(its headers are longer than 262144 bytes)"),
    "get, length": Case(
        get, response(Content_Length="many"), UploadDeferred, "(a length of the response is 'many')"
    ),
    "get, overloaded": Case(get, SLOW_DOWN, UploadDeferred, OVERLOADED),
    "get, 429": Case(get, response(429), UploadDeferred, "is overloaded (429)"),
    "get, failed": Case(
        get, error(500, "InternalError"), UploadDeferred, "responded InternalError for 'x.png'"
    ),
    "put, hung up": Case(put, b"", UploadDeferred, "sent no whole response for 'x.png'"),
    "head, hung up": Case(head, b"", UploadDeferred, "sent no whole response for 'x.png'"),
    "delete, hung up": Case(delete, b"", UploadDeferred, "sent no whole response for 'x.png'"),
    "delete, failed": Case(delete, response(500), UploadDeferred, "responded 500 for 'x.png'"),
    "delete, overloaded": Case(delete, SLOW_DOWN, UploadDeferred, OVERLOADED),
    "delete, conflict": Case(
        delete, error(409, "OperationAborted"), UploadDeferred, "responded OperationAborted"
    ),
    "delete versions, overloaded": Case(delete_all, SLOW_DOWN, UploadDeferred, OVERLOADED),
    # The bucket does not respond either.
    "get, no store": Case(get, b"", ServiceUnavailable, "did not respond (the store closed", b""),
    "get, all overloaded": Case(
        get, SLOW_DOWN, ServiceUnavailable, "overloaded (503)", response(503)
    ),
    "delete, no store": Case(delete, b"", ServiceUnavailable, "did not respond", b""),
    "delete, no bucket": Case(delete, b"", ServiceUnavailable, "does not exist", response(404)),
    # Requests for the bucket.
    "list, overloaded": Case(
        listing, SLOW_DOWN, ServiceUnavailable, f"{OVERLOADED}: the worker retries by itself."
    ),
    "list, failed": Case(
        listing, error(500, "InternalError"), ServiceUnavailable, "failed (InternalError): if it"
    ),
    "list, not XML": Case(
        listing, response(200, "welcome"), ServiceUnavailable, "something else than S3's XML"
    ),
    "list, denied": Case(
        listing, error(403, "AccessDenied"), ServiceUnavailable, "check the access key and its"
    ),
}


def outcome(case: Case) -> PipelineError:
    def answer(request: Request) -> bytes:
        is_probe = request.is_probe and case.request is not listing
        return case.probe if is_probe else case.found

    with TemporaryDirectory() as folder, scripted(answer) as (store, _):
        with pytest.raises(PipelineError) as caught:
            case.request(store, Path(folder))
        return caught.value


@pytest.fixture(scope="module")
def outcomes() -> dict[str, PipelineError]:
    """All at once: between attempts the client waits for seconds."""
    with ThreadPoolExecutor(len(CASES)) as executor:
        return dict(zip(CASES, executor.map(outcome, CASES.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_an_error_says_whom_it_concerns(outcomes: dict[str, PipelineError], name: str) -> None:
    case, found = CASES[name], outcomes[name]
    assert type(found) is case.error
    assert case.words in str(found)
    assert str(found).startswith("The bucket 'in' at http://127.0.0.1:")
    assert "check the access key" not in str(found) or "denied" in name


MODIFIED = "Wed, 21 Oct 2026 07:28:00 GMT"
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "e"\r\n\r\n'
BODY = b"4;name=value\r\nsome\r\n3\r\nbod\r\n0\r\nTrailer: x\r\n\r\n"


@pytest.mark.parametrize("modified", ["", "Last-Modified: soon\r\n"])
def test_an_object_without_length_and_time(tmp_path: Path, modified: str) -> None:
    head = CHUNKED.replace(b"ETag", modified.encode() + b"ETag")

    def answer(request: Request) -> bytes:
        return head + BODY if request.method == "GET" else head

    with scripted(answer) as (store, _):
        info, _ = store.get("in", "x.png", "v1", "e", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == b"somebod"
        assert (info.etag, info.size, info.last_modified) == ("e", 7, None)
        assert store.head("in", "x.png") == info
        assert store.hash("in", "x.png", "v1", "e")[0] == info
        assert info.is_same_put(info)


def test_more_headers_than_a_store_sends(tmp_path: Path) -> None:
    metadata = {f"X_Amz_Meta_{number}": str(number) for number in range(5000)}
    with scripted(lambda _: response(200, b"body", **metadata)) as (store, _):
        info, _ = store.get("in", "x.png", "v1", "e", tmp_path / "file")
    assert info.metadata == {str(number): str(number) for number in range(5000)}


@pytest.mark.parametrize(
    ("allowed", "expected"), [(True, DeletionRefused), (False, ServiceUnavailable)]
)
@pytest.mark.parametrize("many", [True, False])
def test_a_locked_object_is_told_from_missing_rights(
    allowed: bool, expected: type[PipelineError], many: bool
) -> None:
    """Both are AccessDenied; if another object may be deleted, this one is locked."""

    def answer(request: Request) -> bytes:
        if "nobody" in request.path:
            return response(204) if allowed else error(403, "AccessDenied")
        if request.method == "POST":
            errors = "".join(
                f"<Error><Key>{key}</Key><VersionId>{version}</VersionId><Code>AccessDenied</Code>"
                "</Error>"
                for key, version in (("x.png", "1"), ("y.png", "2"))
            )
            return response(200, f"<DeleteResult>{errors}</DeleteResult>")
        return error(403, "AccessDenied")

    with scripted(answer) as (store, _), pytest.raises(PipelineError) as caught:
        (delete_all if many else delete)(store, Path())
    assert type(caught.value) is expected
    locked = "refused to delete 'x.png' (AccessDenied): it may be locked."
    assert str(caught.value).endswith(
        locked if allowed else "refused a DELETE: grant the right to delete to the access key."
    )


def test_a_locked_object_does_not_keep_others() -> None:
    """Where one of a request is refused and others are not, no further question is needed."""
    errors = "<Error><Key>y</Key><VersionId>2</VersionId><Code>AccessDenied</Code></Error>"
    with scripted(lambda _: response(200, f"<DeleteResult>{errors}</DeleteResult>")) as (
        store,
        requests,
    ):
        failures = store.delete_versions("in", [("x", "1"), ("y", "2"), ("z", "3")])
    assert list(failures) == [("y", "2")]
    assert isinstance(failures["y", "2"], DeletionRefused)
    assert len(requests) == 1


def test_a_request_that_a_store_cannot_serve_as_a_whole_is_split() -> None:
    """One key may be the cause; the others are deleted."""

    def answer(request: Request) -> bytes:
        if request.method == "POST":
            return error(400, "MalformedXML")
        return error(400, "InvalidRequest") if request.path == "/in/y" else response(204)

    with scripted(answer) as (store, _):
        failures = store.delete_versions("in", [("x", "1"), ("y", "2"), ("z", "3")])
    assert list(failures) == [("y", "2")]


def test_many_versions_share_requests() -> None:
    with scripted(lambda _: response(200, "<DeleteResult/>")) as (store, requests):
        assert store.delete_versions("in", [("x", str(n)) for n in range(2500)]) == {}
    assert [request.body.count(b"<Object>") for request in requests] == [1000, 1000, 500]


@pytest.mark.parametrize(
    ("allowed", "expected"), [(True, UploadDeferred), (False, ServiceUnavailable)]
)
def test_a_key_that_may_not_be_written(
    tmp_path: Path, allowed: bool, expected: type[PipelineError]
) -> None:
    """A policy may refuse some keys, or all; the question leaves nothing in the bucket."""

    def answer(request: Request) -> bytes:
        if "nobody" in request.path and allowed:
            started = "<Result><UploadId>u</UploadId></Result>"
            return response(200, started) if request.method == "POST" else response(204)
        return error(403, "AccessDenied")

    with scripted(answer) as (store, requests), pytest.raises(PipelineError) as caught:
        put(store, tmp_path)
    assert type(caught.value) is expected
    sent = [(one.method, one.query.get("uploadId")) for one in requests if "nobody" in one.path]
    assert sent == [("POST", None), *([("DELETE", "u")] if allowed else [])]


@pytest.mark.parametrize(
    ("size", "expected"), [(10, ServiceUnavailable), (2 << 20, UploadDeferred)]
)
def test_a_quota_that_one_object_exceeds(
    tmp_path: Path, size: int, expected: type[PipelineError]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(size))
    refused = pytest.raises(PipelineError, match=f"has no room for {size} bytes")
    with scripted(lambda _: error(403, "QuotaExceeded")) as (store, _), refused as caught:
        store.put("in", "x.png", hash_file(file), "image/png", {})
    assert type(caught.value) is expected


@pytest.mark.parametrize("content_type", ["image/png\r\nx-amz-acl: public-read", "image/猫"])
def test_a_header_that_cannot_be_sent(tmp_path: Path, content_type: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    deferred = pytest.raises(UploadDeferred, match=r"cannot be sent a request for 'x\.png'")
    with scripted(lambda _: response()) as (store, requests), deferred:
        store.put("in", "x.png", hash_file(file), content_type, {})
    assert requests == []


SIZE = (5 << 30) + 1
PART = 128 << 20


def copying(stop_at: str = "") -> Callable[[Request], bytes]:
    """Return the script of a store that copies at most 5 GiB at a time."""

    def answer(request: Request) -> bytes:
        query, number = request.query, request.query.get("partNumber", "")
        if request.method == "HEAD":
            return response(200, Content_Length=str(SIZE), ETag='"e"')
        if request.method == "DELETE":
            return response(204)
        if "uploads" in query:
            return response(200, "<R><UploadId>u</UploadId></R>")
        if number:
            found = f"<R><ETag>&quot;{number}&quot;</ETag></R>"
            return error(400, "EntityTooLarge") if number == stop_at else response(200, found)
        if query.get("uploadId"):
            return response(200, "<CompleteMultipartUploadResult/>")
        return error(400, "InvalidRequest")

    return answer


def test_an_object_above_5_gib_is_copied_in_parts() -> None:
    with scripted(copying()) as (store, requests):
        store.copy(Source("in", "x", "v1", "e"), "out", "y", "image/png", {"run": "1"})
    started, *parts, completed = requests[2:]
    assert (started.headers["x-amz-meta-run"], started.headers["content-type"]) == (
        "1",
        "image/png",
    )
    ranges = [part.headers["x-amz-copy-source-range"] for part in parts]
    assert ranges[:2] == [f"bytes=0-{PART - 1}", f"bytes={PART}-{2 * PART - 1}"]
    assert ranges[-1] == f"bytes={SIZE - 1}-{SIZE - 1}"
    assert {part.headers["x-amz-copy-source"] for part in parts} == {"/in/x?versionId=v1"}
    assert {part.headers["x-amz-copy-source-if-match"] for part in parts} == {'"e"'}
    assert completed.body.count(b"<Part>") == len(parts) == 41
    assert b'<PartNumber>2</PartNumber><ETag>"2"</ETag>' in completed.body


def test_a_copy_that_fails_leaves_no_parts() -> None:
    deferred = pytest.raises(UploadDeferred, match="responded EntityTooLarge for 'y'")
    with scripted(copying(stop_at="3")) as (store, requests), deferred:
        store.copy(Source("in", "x", "v1", "e"), "out", "y", "image/png", {})
    assert (requests[-1].method, requests[-1].query) == ("DELETE", {"uploadId": "u"})


def test_a_copys_error_after_the_status_200() -> None:
    def answer(request: Request) -> bytes:
        if request.method == "HEAD":
            return response(200, Content_Length="7", ETag='"e"')
        return error(200, "NoSuchKey")

    with scripted(answer) as (store, _), pytest.raises(ObjectMissing):
        store.copy(Source("in", "x", "", "e"), "out", "y", "image/png", {})


@pytest.mark.parametrize("changed", [True, False])
def test_a_source_that_changes_during_its_copy(changed: bool) -> None:
    """Ceph ignores the condition. Without a change the ETag may differ, too: after multipart."""
    etags = iter(['"e"', '"newer"' if changed else '"e"'])

    def answer(request: Request) -> bytes:
        if request.method == "HEAD":
            return response(200, Content_Length="7", ETag=next(etags))
        return response(200, "<CopyObjectResult><ETag>&quot;c&quot;</ETag></CopyObjectResult>")

    with scripted(answer) as (store, _):
        source = Source("in", "x", "", "e")
        if changed:
            with pytest.raises(ObjectMissing):
                store.copy(source, "out", "y", "image/png", {})
        else:
            store.copy(source, "out", "y", "image/png", {})


@pytest.mark.parametrize(
    "found", [b"", response(500), error(501, "NotImplemented"), response(X_Rgw_Object_Count="-1")]
)
def test_store_that_does_not_count_objects_is_no_error(found: bytes) -> None:
    with scripted(lambda _: found) as (store, _):
        assert store.object_count("in") is None
