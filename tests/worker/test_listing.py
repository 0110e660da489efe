"""What a listing means, however it is divided into pages; and which uploads form a batch."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.uploads.listing import ListedVersion, ListPage, classify, group_by_key

START = datetime(2026, 8, 1, tzinfo=UTC)


def entries(text: str) -> list[ListedVersion]:
    """Return the versions and markers of one key, newest first.

    Args:
        text: Such as `v2 m1 v1`: each with its second, and perhaps a name: `v1a v1b` have the same
            time.

    Returns:
        The listing.
    """
    return [
        ListedVersion(
            "x",
            START + timedelta(seconds=int(word[1])),
            version_id=word if not word.endswith("null") else "null",
            etag=word,
            is_latest=number == 0,
            is_marker=word[0] == "m",
        )
        for number, word in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    ("listing", "withdrawn", "uploads"),
    [
        ("v1", "", "v1"),
        ("v3 v2 v1", "", "v1 v2 v3"),
        ("m1", "m1", ""),
        ("m2 v1", "v1 m2", ""),
        ("v3 m2 v1", "v1 m2", "v3"),
        ("v5 m4 v3 m2 v1", "v1 v3 m2 m4", "v5"),
        ("m3 m2 v1", "v1 m2 m3", ""),
        ("v1c v1b v1a", "", "v1a v1b v1c"),  # the same second
        ("m1 v1", "v1 m1", ""),
        ("v1 m1", "m1", "v1"),
        ("v2 v1 m1", "m1", "v1 v2"),
        ("v1 m2 v0", "v0 m2", "v1"),  # multipart uploads, begun before
        ("v3 v1 m2 v0", "v0 m2", "v1 v3"),  # the marker was set, and completed after it
        ("v2 m1null", "", "v2"),  # a newer upload would get the same id
    ],
)
def test_one_key(listing: str, withdrawn: str, uploads: str) -> None:
    found = classify("bucket", "x", entries(listing))
    assert [upload.version_id for upload in found.withdrawn] == withdrawn.split()
    assert [upload.version_id for upload in found.uploads] == uploads.split()


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_key_on_two_pages(cut: int) -> None:
    lines = [ListedVersion("a", START), *entries("v5 m4 v3 m2 v1"), ListedVersion("z", START)]
    whole = list(group_by_key("bucket", [ListPage(lines)]))
    pages = [ListPage(lines[:cut], lines[cut - 1].key), ListPage(lines[cut:])]
    assert list(group_by_key("bucket", pages)) == whole
    assert [one.key for one in whole] == ["a", "x", "z"]


def test_a_key_on_many_pages() -> None:
    lines = entries("v4 v3 v2 v1")
    pages = [ListPage([line], "x") for line in lines]
    (only,) = group_by_key("bucket", pages)
    assert [upload.version_id for upload in only.uploads] == ["v1", "v2", "v3", "v4"]


@pytest.mark.parametrize("key", ["folder/", "/", "a/b/"])
def test_folder_markers(key: str) -> None:
    assert list(group_by_key("bucket", [ListPage([ListedVersion(key, START)])])) == []


def test_a_key_like_a_folders_may_have_content() -> None:
    versions = [ListedVersion("a/", START, "2"), ListedVersion("a/", START, "1", size=5)]
    (only,) = group_by_key("bucket", [ListPage(versions)])
    assert [upload.version_id for upload in only.uploads] == ["1", "2"]


def test_times_are_whole_seconds_and_utc() -> None:
    moment = datetime.fromisoformat("2026-08-01T03:00:00.999+03:00")
    (only,) = group_by_key("bucket", [ListPage([ListedVersion("x", moment)])])
    assert only.uploads[0].last_modified == START
