"""What a listing of the input bucket means: uploads to do, oldest first, and what was withdrawn.

Only decisions; `store` lists and `step` deletes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from worker.uploads.upload import NULL_VERSION, Upload, whole_seconds

BATCH = 8  # uploads; what a worker had begun when it died is run alone afterwards
BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class Entry:
    """A line of ListObjectsV2 or ListObjectVersions."""

    key: str
    last_modified: datetime
    version_id: str = ""
    etag: str = ""
    size: int = 0
    latest: bool = True
    marker: bool = False


@dataclass(frozen=True)
class Page:
    """Entries newest first per key, and the key that goes on in the next page, if any."""

    entries: list[Entry]
    unfinished: str | None = None


@dataclass(frozen=True)
class Work:
    """All there is to do for one key: first purge, in this order, then the uploads, in theirs."""

    key: str
    purge: list[Upload]
    uploads: list[Upload]

    @property
    def simple(self) -> bool:
        """One upload and nothing else: several such may share a request."""
        return len(self.uploads) == 1 and not self.purge


def work(bucket: str, pages: Iterable[Page]) -> Iterator[Work]:
    """Group pages by key. At most one page and the versions of one key are held at a time."""
    held: list[Entry] = []
    for page in pages:
        keys: dict[str, list[Entry]] = {}
        for entry in [*held, *page.entries]:
            keys.setdefault(entry.key, []).append(entry)
        held = keys.pop(page.unfinished, []) if page.unfinished is not None else []
        yield from _classified(bucket, keys)
    yield from _classified(bucket, {held[0].key: held} if held else {})


def batches(works: Iterable[Work], lanes: int) -> Iterator[list[Work]]:
    """Put simple work together, as much as leaves none of the lanes empty; other work stays by
    itself, and so does a large upload, which would keep others waiting."""
    works = iter(works)
    while ahead := list(islice(works, lanes * BATCH)):
        most, batch, size = -(-len(ahead) // lanes), list[Work](), 0
        for one in ahead:
            if not one.simple:
                yield [one]
                continue
            size += one.uploads[0].size
            if batch and (len(batch) == most or size > BATCH_BYTES):
                yield batch
                batch, size = [], one.uploads[0].size
            batch.append(one)
        if batch:
            yield batch


def _classified(bucket: str, keys: dict[str, list[Entry]]) -> Iterator[Work]:
    for key, entries in keys.items():
        if not key.endswith("/"):  # a folder marker of a web console or of Swift: left alone
            yield classify(bucket, key, entries)


def classify(bucket: str, key: str, entries: list[Entry]) -> Work:
    """Sort one key's versions and delete markers, given newest first, into what to do.

    What a delete marker covers was withdrawn by the user. Versions go before their marker, so
    that none comes back as the newest if we are killed in between. Where a version and a marker
    carry the same time the version counts as the newer one, unless the marker is the latest of
    all: rather one row too many than one upload lost.
    """
    # Stable, and the listing is newest first: equal times keep the store's order.
    oldest_first = sorted(entries[::-1], key=lambda entry: entry.last_modified)  # noqa: C415
    markers = [entry for entry in oldest_first if entry.marker]
    last = markers[-1] if markers else None
    covered = [
        entry
        for entry in oldest_first
        if last and not entry.marker and not (entry.latest and not last.latest)
        if last.latest or entry.last_modified < last.last_modified
    ]
    live = [entry for entry in oldest_first if not entry.marker and entry not in covered]
    # A marker with the id "null" is replaced by the next upload under that same id.
    purge = covered + [entry for entry in markers if entry.version_id != NULL_VERSION]
    return Work(key, [_upload(bucket, e) for e in purge], [_upload(bucket, e) for e in live])


def _upload(bucket: str, entry: Entry) -> Upload:
    return Upload(
        bucket,
        entry.key,
        entry.version_id,
        entry.etag,
        whole_seconds(entry.last_modified),
        entry.size,
    )
