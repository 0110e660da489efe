"""Listings over S3: pages, newest first within each key, and how one leads to the next."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote_plus
from xml.parsers.expat import ExpatError, ParserCreate

from worker.errors import PipelineError, RequestRefused
from worker.uploads.listing import ListedVersion, ListPage

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
_ENTRIES = frozenset({"Contents", "Version", "DeleteMarker"})
_FIELDS = ("Key", "LastModified", "VersionId", "ETag", "Size", "IsLatest")


class ListingUnreadable(PipelineError):
    """The store's listing is invalid or incomplete."""


class Page(NamedTuple):
    """A page as the store sends it.

    Attributes:
        entries: In its order.
        fields: The text of its other elements, by name.
    """

    entries: list[ListedVersion]
    fields: dict[str, str]


#: Sends one listing request with these query parameters.
Fetch = Callable[[dict[str, str]], Page]


def parse(body: bytes) -> Page:
    """Read a page. Without a tree of its elements it takes half the memory.

    Args:
        body: The XML.

    Returns:
        The page.

    Raises:
        RequestRefused: It is not XML.
        ListingUnreadable: An entry has no key or no size.
    """  # noqa: DOC502  raised by _entry
    rows: list[list[str]] = []  # the names of entries, and their fields
    fields: dict[str, str] = {}
    text: list[str] = []
    parser = ParserCreate()
    parser.buffer_text = True
    parser.CharacterDataHandler = text.append
    parser.StartElementHandler = lambda _name, _attributes: text.clear()

    def end(name: str) -> None:
        name = name.rpartition(":")[2]
        if name in _ENTRIES:
            rows.append([name, *[fields.pop(field, "") for field in _FIELDS]])
        else:
            fields[name] = "".join(text)

    parser.EndElementHandler = end
    try:
        parser.Parse(_sanitized(body), True)
    except ExpatError as error:
        raise RequestRefused("MalformedXML") from error
    is_encoded = fields.get("EncodingType") == "url"
    return Page([_entry(row, is_encoded=is_encoded) for row in rows], fields)


def _sanitized(body: bytes) -> bytes:
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
        ordered = _in_order(fetch, page.entries) if versions else page.entries
        if page.fields.get("IsTruncated") != "true":
            yield ListPage(ordered)
            return
        following = _following(page, versions=versions)
        if not following or tuple(following.values()) in seen:
            raise ListingUnreadable("it is truncated and does not say where it continues")
        seen.add(tuple(following.values()))
        query.pop("start-after", None)
        query |= following
        yield ListPage(ordered, following["key-marker"] if versions else None)


def _following(page: Page, *, versions: bool) -> dict[str, str]:
    """Return the query parameters of the next page, {} if they are unknown.

    quirks.NEXT_MARKER_IS_MISSING: listings are sorted, so the next page begins after the last entry
    (S3 API reference, ListObjectVersions: key-marker; ListObjectsV2: start-after).
    """
    fields, last = page.fields, page.entries[-1] if page.entries else None
    if not versions:
        if token := fields.get("NextContinuationToken"):
            return {"continuation-token": token}
        return {"start-after": last.key} if last else {}
    is_encoded = fields.get("EncodingType") == "url"
    if key := _key(fields.get("NextKeyMarker", ""), is_encoded=is_encoded):
        version = fields.get("NextVersionIdMarker")
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
        entry = next(iter(fetch(query).entries), None)
        if entry is None or entry.key != key or entry.version_id in newer:
            return None  # the bucket has changed meanwhile
        if entry.is_marker:
            return newer
        newer.add(entry.version_id)
        query |= {"key-marker": key, "version-id-marker": entry.version_id}


def _entry(row: list[str], *, is_encoded: bool) -> ListedVersion:
    name, key, last_modified, version_id, etag, size, is_latest = row
    key, size = _key(key, is_encoded=is_encoded), size or "0"
    if not (key and size.isdecimal()):
        raise ListingUnreadable(f"an entry has the key {key!r} and the size {size!r}")
    return ListedVersion(
        key,
        _moment(last_modified),
        version_id,
        etag.strip('"'),  # quirks.ETAG_WITHOUT_QUOTES
        int(size),
        is_latest=is_latest != "false",
        is_marker=name == "DeleteMarker",
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # quirks.LISTED_TIME_IS_UNREADABLE
        return UNKNOWN_TIME


def _key(text: str, *, is_encoded: bool) -> str:
    if is_encoded:
        return unquote_plus(text)
    return text if text.isascii() else text.translate(_FROM_STAND_INS)
