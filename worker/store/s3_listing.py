"""Listings over S3: pages, newest first within each key, and how one leads to the next."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from worker.errors import PipelineError
from worker.uploads.listing import ListedVersion, ListPage

#: Sends one listing request with these query parameters and returns its XML.
Fetch = Callable[[dict[str, str]], ET.Element]
#: The time of an entry whose own cannot be read.
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
# Characters that XML cannot hold, or changes, and noncharacters that stand for them: U+FDD0 to
# U+FDEF are 32, and of the 32 control characters tab and line feed need none.
_ILLEGAL = [*(chr(code) for code in range(32) if chr(code) not in "\t\n"), "\ufffe", "\uffff"]
_STAND_INS = dict(zip(_ILLEGAL, map(chr, range(0xFDD0, 0xFDF0)), strict=True))
_TO_STAND_INS = str.maketrans(_STAND_INS)
_FROM_STAND_INS = str.maketrans({to: of for of, to in _STAND_INS.items()})
_CONTROLS = bytes(ord(one) for one in _ILLEGAL if ord(one) < 32)  # noqa: PLR2004
_NONCHARACTERS = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")
_KEY = re.compile("<(?:Next)?Key(?:Marker)?>([^<]*)<")
_VERSIONS, _OBJECTS = ("Version", "DeleteMarker"), ("Contents",)


class ListingUnreadable(PipelineError):
    """The store's listing is invalid or incomplete."""


def sanitize(body: bytes) -> bytes:
    """Replace characters of a listing that XML cannot hold (quirks.KEYS_ARE_NOT_ENCODED)."""
    is_legal = len(body.translate(None, _CONTROLS)) == len(body)
    if is_legal and not any(one in body for one in _NONCHARACTERS):
        return body
    text = body.decode(errors="replace")
    return _KEY.sub(lambda key: key[0].translate(_TO_STAND_INS), text).encode()


def list_pages(fetch: Fetch, *, versions: bool, prefix: str = "") -> Iterator[ListPage]:
    """List a bucket.

    Args:
        fetch: Sends one request.
        versions: Whether to list all versions and delete markers.
        prefix: Only keys that begin with it.

    Yields:
        Pages, newest first within each key.

    Raises:
        ListingUnreadable: An entry has no key, or a page does not lead to the next one.
    """
    # quirks.KEYS_BEYOND_XML
    query = {"encoding-type": "url"} | ({"versions": ""} if versions else {"list-type": "2"})
    query |= {"prefix": prefix} if prefix else {}
    seen = set()
    while True:
        page = fetch(query)
        entries = _entries(page, _VERSIONS if versions else _OBJECTS)
        ordered = _in_order(fetch, entries) if versions else entries
        if page.findtext("IsTruncated") != "true":
            yield ListPage(ordered)
            return
        following = _following(page, entries, versions=versions)
        if not following or tuple(following.values()) in seen:
            raise ListingUnreadable("it is truncated and does not say where it continues")
        seen.add(tuple(following.values()))
        query.pop("start-after", None)
        query |= following
        yield ListPage(ordered, following["key-marker"] if versions else None)


def _following(
    page: ET.Element, entries: Sequence[ListedVersion], *, versions: bool
) -> dict[str, str]:
    """Return the query parameters of the next page, {} if they are unknown.

    quirks.NEXT_MARKER_IS_MISSING: listings are sorted, so the next page begins after the last entry
    (S3 API reference, ListObjectVersions: key-marker; ListObjectsV2: start-after).
    """
    last = entries[-1] if entries else None
    if not versions:
        if token := page.findtext("NextContinuationToken"):
            return {"continuation-token": token}
        return {"start-after": last.key} if last else {}
    if key := _key(page, "NextKeyMarker", is_encoded=_is_encoded(page)):
        version = page.findtext("NextVersionIdMarker")
        return {"key-marker": key} | ({"version-id-marker": version} if version else {})
    if last and last.version_id:
        return {"key-marker": last.key, "version-id-marker": last.version_id}
    return {}


def _in_order(fetch: Fetch, entries: list[ListedVersion]) -> list[ListedVersion]:
    """Return the entries newest first within each key.

    quirks.MARKERS_LISTED_APART: whether a delete marker is older than a version then shows only in
    a listing of one entry at a time. It is needed where the times contradict the order of the page,
    which may also be because a multipart object carries the time at which it was begun.
    """
    first = next((n for n, one in enumerate(entries) if one.is_marker), len(entries))
    if first == len(entries) or not all(one.is_marker for one in entries[first:]):
        return entries
    keys: dict[str, list[ListedVersion]] = {}
    for one in entries:
        keys.setdefault(one.key, []).append(one)
    ordered = []
    for key, ones in keys.items():
        versions = [one for one in ones if not one.is_marker]
        markers = [one for one in ones if one.is_marker]
        newer = versions
        if markers and markers[0].is_latest:
            newer = []
        elif markers and any(one.last_modified <= markers[0].last_modified for one in versions):
            ids = _above_markers(fetch, key)
            newer = versions if ids is None else [one for one in versions if one.version_id in ids]
        ordered += [*newer, *markers, *(one for one in versions if one not in newer)]
    return ordered


def _above_markers(fetch: Fetch, key: str) -> set[str] | None:
    """Return the ids of a key's versions that are newer than all its markers, None if unknown."""
    query = {"encoding-type": "url", "versions": "", "prefix": key, "max-keys": "1"}
    newer: set[str] = set()
    while True:
        entry = next(iter(_entries(fetch(query), _VERSIONS)), None)
        if entry is None or entry.key != key or entry.version_id in newer:
            return None  # the bucket has changed meanwhile
        if entry.is_marker:
            return newer
        newer.add(entry.version_id)
        query |= {"key-marker": key, "version-id-marker": entry.version_id}


def _entries(page: ET.Element, tags: tuple[str, ...]) -> list[ListedVersion]:
    is_encoded = _is_encoded(page)
    return [_entry(element, is_encoded=is_encoded) for element in page if element.tag in tags]


def _entry(element: ET.Element, *, is_encoded: bool) -> ListedVersion:
    key, size = _key(element, "Key", is_encoded=is_encoded), _text(element, "Size") or "0"
    if not (key and size.isdecimal()):
        raise ListingUnreadable(f"an entry has the key {key!r} and the size {size!r}")
    return ListedVersion(
        key=key,
        last_modified=_moment(_text(element, "LastModified")),
        version_id=_text(element, "VersionId"),
        etag=_text(element, "ETag").strip('"'),  # quirks.ETAG_WITHOUT_QUOTES
        size=int(size),
        is_latest=element.findtext("IsLatest") != "false",
        is_marker=element.tag == "DeleteMarker",
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # quirks.LISTED_TIME_IS_UNREADABLE
        return UNKNOWN_TIME


def _is_encoded(page: ET.Element) -> bool:
    return page.findtext("EncodingType") == "url"


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(name) or ""


def _key(element: ET.Element, name: str, *, is_encoded: bool) -> str:
    text = _text(element, name)
    if is_encoded:
        return unquote_plus(text)
    return text if text.isascii() else text.translate(_FROM_STAND_INS)
