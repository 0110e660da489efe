"""What the user withdrew is deleted: with few requests, versions before their markers."""

from datetime import UTC, datetime, timedelta

from tests.worker.scripted_store import response, scripted
from worker.errors import DeletionRefused
from worker.jobs.deletion import delete_withdrawn
from worker.store.memory_store import MemoryStore
from worker.uploads.listing import ListedVersion, ListPage, group_by_key
from worker.uploads.upload import Upload

START = datetime(2026, 8, 1, tzinfo=UTC)


def withdrawn(store: MemoryStore) -> list[Upload]:
    works = group_by_key("in", store.list_pages("in", versions=True))
    return [upload for work in works for upload in work.withdrawn]


def test_8000_versions_under_a_marker_need_nine_requests() -> None:
    marker = ListedVersion("x", START, "marker", is_marker=True)
    versions = [ListedVersion("x", START - n * timedelta(1), f"v{n}", "e") for n in range(8000)]
    entries = [marker, *versions]
    pages = [ListPage(entries[n : n + 1000], "x") for n in range(0, len(entries), 1000)]
    (work,) = group_by_key("in", pages)
    with scripted(lambda _: response(200, "<DeleteResult/>")) as (store, requests):
        deletion = delete_withdrawn(store, work.withdrawn)
    assert (deletion.missing, deletion.failures) == ([], {})
    *together, last = requests
    assert [request.body.count(b"<VersionId>v") for request in together] == [1000] * 8
    assert (last.method, last.query) == ("DELETE", {"versionId": "marker"})


def test_markers_of_many_keys_share_a_request() -> None:
    pages = [
        ListPage(
            [
                ListedVersion(f"{number:03}", START, kind, is_marker=kind == "marker")
                for number in range(400)
                for kind in ("marker", "version")
            ]
        )
    ]
    uploads = [upload for work in group_by_key("in", pages) for upload in work.withdrawn]
    with scripted(lambda _: response(200, "<DeleteResult/>")) as (store, requests):
        delete_withdrawn(store, uploads)
    found = [(one.body.count(b">version<"), one.body.count(b">marker<")) for one in requests]
    assert found == [(400, 0), (0, 400)]


def test_a_marker_stays_over_a_version_that_cannot_be_deleted() -> None:
    """Else the version would be the latest again, and be processed."""
    store = MemoryStore(["in"], versioned=["in"])
    for key in ("free", "locked"):
        store.upload("in", key, b"1")
        store.delete("in", key)
    store.lock("in", "locked")
    deletion = delete_withdrawn(store, withdrawn(store))
    assert {(one.key, one.is_marker) for one in deletion.failures} == {
        ("locked", False),
        ("locked", True),
    }
    assert all(isinstance(error, DeletionRefused) for error in deletion.failures.values())
    assert list(store.versions("in")) == ["locked"]
    store.unlock("in", "locked")
    assert delete_withdrawn(store, withdrawn(store)).failures == {}
    assert store.versions("in") == {}
