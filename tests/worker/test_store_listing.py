"""How listings over S3 are read, page by page: scripted, because each store has its own way."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

import pytest

from tests.worker.scripted_store import Request, response, scripted
from worker.errors import ServiceUnavailable
from worker.uploads.listing import group_by_key

Entry = tuple[str, str]  # key, and version: v2 or m2, a version or marker of second 2


def document(
    entries: Iterable[Entry], *more: str, versions: bool = True, are_apart: bool = False
) -> bytes:
    """Return a page; the first entry of a key is the latest one."""
    seen, lines = set[str](), []
    for key, version in entries:
        kind = {"v": "Version", "m": "DeleteMarker"}[version[0]] if versions else "Contents"
        latest = "" if not versions else f"<IsLatest>{str(key not in seen).lower()}</IsLatest>"
        seen.add(key)
        lines.append(
            f"<{kind}><Key>{escape(key)}</Key><VersionId>{version}</VersionId>{latest}"
            f"<LastModified>2026-08-01T00:00:0{version[1]}.000Z</LastModified><Size>1</Size></{kind}>"
        )
    if are_apart:
        lines.sort(key=lambda line: line.startswith("<DeleteMarker"))
    return response(200, f"<ListResult>{''.join([*lines, *more])}</ListResult>")


def uploads(answer: Callable[[Request], bytes]) -> tuple[dict[str, list[str]], list[Request]]:
    """Return the versions to process by key, and the requests."""
    with scripted(answer) as (store, requests):
        works = list(group_by_key("in", store.list_pages("in", versions=True)))
    return {work.key: [one.version_id for one in work.uploads] for work in works}, requests


def paged(entries: Sequence[Entry], size: int, *, markers: bool) -> Callable[[Request], bytes]:
    """Return the script of a store that lists `size` entries at a time."""

    def answer(request: Request) -> bytes:
        start = 0
        if key := request.query.get("key-marker"):
            start = entries.index((key, request.query["version-id-marker"])) + 1
        page, left = entries[start : start + size], entries[start + size :]
        more = [f"<IsTruncated>{str(bool(left)).lower()}</IsTruncated>"]
        if markers and left:
            key, version = page[-1]
            more += [f"<NextKeyMarker>{key}</NextKeyMarker>"]
            more += [f"<NextVersionIdMarker>{version}</NextVersionIdMarker>"]
        return document(page, *more)

    return answer


ENTRIES = [("a", "v1"), ("b", "v4"), ("b", "m3"), ("b", "v2"), ("b", "v1"), ("c", "v1")]


@pytest.mark.parametrize("markers", [True, False], ids=["with markers", "without markers"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_are_followed(size: int, markers: bool) -> None:
    """Without the next marker a listing goes on after the page's last entry."""
    found, requests = uploads(paged(ENTRIES, size, markers=markers))
    assert found == {"a": ["v1"], "b": ["v4"], "c": ["v1"]}
    assert len(requests) == len(ENTRIES) // size


@pytest.mark.parametrize("token", ["<NextContinuationToken>t</NextContinuationToken>", ""])
def test_pages_of_objects_are_followed(token: str) -> None:
    truncated = "<IsTruncated>true</IsTruncated>"

    def answer(request: Request) -> bytes:
        query = request.query
        is_second = query.get("continuation-token") == "t" or query.get("start-after") == "a"
        more = [] if is_second else [truncated, token]
        return document([("b" if is_second else "a", "v1")], *more, versions=False)

    with scripted(answer) as (store, _):
        pages = list(store.list_pages("in", versions=False))
    assert [entry.key for page in pages for entry in page.versions] == ["a", "b"]


@pytest.mark.parametrize("entries", [[], [("a", "v1")]], ids=["empty", "the same page"])
@pytest.mark.parametrize("marker", ["", "<NextKeyMarker>a</NextKeyMarker>"])
def test_a_listing_that_does_not_go_on_ends(entries: list[Entry], marker: str) -> None:
    page = document(entries, "<IsTruncated>true</IsTruncated>", marker)
    unreadable = pytest.raises(ServiceUnavailable, match="does not say where it continues")
    with scripted(lambda _: page) as (store, _), unreadable:
        list(store.list_pages("in", versions=True))


@pytest.mark.parametrize("field", ["Key", "Size"])
def test_an_entry_without_a_key_or_a_size(field: str) -> None:
    page = document([("a", "v1")]).replace(f"<{field}>".encode(), b"<No>")
    page = page.replace(f"</{field}>".encode(), b"</No>").replace(b"<No>1", b"<Size>x</Size><No>")
    page = page.partition(b"\r\n\r\n")[2]
    unreadable = pytest.raises(ServiceUnavailable, match="a listing that cannot be read: an entry")
    with scripted(lambda _: response(200, page)) as (store, _), unreadable:
        list(store.list_pages("in", versions=True))


@pytest.mark.parametrize("time", ["", "+33658-09-27T01:46:40.000Z", "soon"])
def test_an_unreadable_time_stops_nothing(time: str) -> None:
    """Rclone lists the time that a client gave the file, also one beyond the year 9999."""
    page = document([("a", "v1"), ("b", "v1")]).partition(b"\r\n\r\n")[2]
    page = page.replace(b"2026-08-01T00:00:01.000Z", time.encode(), 1)
    with scripted(lambda _: response(200, page)) as (store, _):
        works = list(group_by_key("in", store.list_pages("in", versions=True)))
    assert [work.uploads[0].last_modified.year for work in works] == [1970, 2026]


#: True orders of one key, newest first, and what is to be processed of it, oldest first.
ORDERS = {
    "v1": "v1",
    "m1": "",
    "m2 v1": "",
    "v3 m2 v1": "v3",
    "v5 m4 v3 m2 v1": "v5",
    "v2 v1 m0": "v1 v2",
    "v1 m1 v1": "v1",  # within a second
    "m1 v1 m1 v1": "",
    # A multipart object carries the time at which it was begun.
    "v1 m2": "v1",
    "v1 m2 v0": "v1",
    "v3 v1 m2 v0": "v1 v3",
    "v1 v0 m3 v2": "v0 v1",
}


def in_order(entries: Sequence[Entry]) -> bytes:
    """Return a page as S3 and Ceph list it."""
    return document(entries)


def apart(entries: Sequence[Entry]) -> bytes:
    """Return a page as moto lists it: first the versions, then the markers."""
    return document(entries, are_apart=True)


@pytest.mark.parametrize("neighbours", [True, False])
@pytest.mark.parametrize("render", [in_order, apart])
@pytest.mark.parametrize("order", ORDERS)
def test_what_is_listed_below_a_marker_was_withdrawn(
    order: str, render: Callable[[Sequence[Entry]], bytes], neighbours: bool
) -> None:
    numbered = [f"{version}-{number}" for number, version in enumerate(order.split())]
    entries = [("b", version) for version in numbered]
    around = [("a", "v9"), ("a", "m0")], [("c", "m9"), ("c", "v0")]
    everything = [*around[0], *entries, *around[1]] if neighbours else entries

    def answer(request: Request) -> bytes:
        if request.query.get("max-keys") != "1":
            return render(everything)
        alone = [one for one in everything if one[0] == request.query["prefix"]]
        after = request.query.get("version-id-marker")
        start = [version for _, version in alone].index(after) + 1 if after else 0
        return document(alone[start : start + 1])

    found, _ = uploads(answer)
    assert [one.partition("-")[0] for one in found["b"]] == ORDERS[order].split()
    if neighbours:
        assert (found["a"], found["c"]) == (["v9"], [])


def test_a_bucket_that_changes_meanwhile_loses_nothing() -> None:
    """If the order cannot be found out, versions are processed rather than deleted."""

    def answer(request: Request) -> bytes:
        is_first = "max-keys" not in request.query
        return apart([("a", "v5"), ("a", "m4"), ("a", "v3")]) if is_first else document([])

    assert uploads(answer)[0] == {"a": ["v3", "v5"]}


def test_the_usual_listing_needs_one_request() -> None:
    entries = [("a", "m3"), ("a", "v2"), ("b", "v3"), ("b", "v2"), ("c", "v2"), ("c", "m1")]
    for page in (in_order(entries), apart(entries)):
        assert len(uploads(lambda _, page=page: page)[1]) == 1  # type: ignore[misc]


def test_times_are_utc() -> None:
    page = document([("a", "v1")]).partition(b"\r\n\r\n")[2]
    page = page.replace(b"00:00:01.000Z", b"03:00:01.999+03:00")
    with scripted(lambda _: response(200, page)) as (store, _):
        ((entry,),) = (page.versions for page in store.list_pages("in", versions=True))
    assert entry.last_modified == datetime(2026, 8, 1, 0, 0, 1, 999000, tzinfo=UTC)
