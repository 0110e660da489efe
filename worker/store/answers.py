"""What the store's answers say: headers of an object, lines of a listing."""

from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from worker.uploads.listing import Entry
from worker.uploads.upload import whole_seconds


@dataclass(frozen=True)
class Found:
    """What a GET or HEAD answered about an object."""

    etag: str
    last_modified: datetime  # whole seconds, UTC
    size: int

    def same(self, other: "Found") -> bool:
        """Whether both describe the same PUT."""
        return (self.etag, self.last_modified) == (other.etag, other.last_modified)


def etag_of(text: str | None) -> str:
    """Without its quotes: rclone lists it bare and answers GET with them."""
    return (text or "").strip('"')


def found(headers: Message, size: int) -> Found:
    """From an answer's headers, and the length of what was read or would be."""
    moment = whole_seconds(parsedate_to_datetime(headers["last-modified"]))
    return Found(etag_of(headers["etag"]), moment, size)


def text_of(element: ET.Element, name: str, encoded: bool = False) -> str:
    """What an element holds, "" without it. encoded: as `encoding-type=url` made it."""
    text = element.findtext(name) or ""
    return unquote_plus(text) if encoded else text


def entry_of(line: ET.Element, encoded: bool) -> Entry:
    """A line of ListObjectsV2 or ListObjectVersions."""
    return Entry(
        key=text_of(line, "Key", encoded),
        last_modified=datetime.fromisoformat(text_of(line, "LastModified")),
        version_id=text_of(line, "VersionId"),
        etag=etag_of(line.findtext("ETag")),
        size=int(text_of(line, "Size") or 0),
        latest=line.findtext("IsLatest") != "false",
        marker=line.tag == "DeleteMarker",
    )
