"""What a listing of the input bucket means: the uploads per key, and what the user deleted.

Pure functions: `worker.store` lists, `worker.jobs` deletes.
"""

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from worker.uploads.upload import NULL_VERSION, Upload, whole_seconds


@dataclass(frozen=True)
class ListedVersion:
    """An object, a version or a delete marker, as ListObjectsV2 or ListObjectVersions shows it."""

    key: str
    last_modified: datetime
    version_id: str = ""
    etag: str = ""
    size: int = 0
    is_latest: bool = True
    is_marker: bool = False


@dataclass(frozen=True)
class ListPage:
    """One page of a listing.

    Attributes:
        versions: Newest first within each key.
        unfinished_key: The key whose versions continue on the next page, if any.
    """

    versions: list[ListedVersion]
    unfinished_key: str | None = None


@dataclass(frozen=True)
class KeyUploads:
    """All work for one key.

    Attributes:
        key: The object key.
        withdrawn: Versions and delete markers to delete first, in this order.
        uploads: The uploads to process afterwards, oldest first.
        gathered: The bytes of the results that they gather.
    """

    key: str
    withdrawn: list[Upload]
    uploads: list[Upload]
    gathered: int = 0

    @property
    def is_single(self) -> bool:
        """Whether it is one upload and nothing else: several such may share a request."""
        return len(self.uploads) == 1 and not self.withdrawn

    @property
    def versions(self) -> Sequence[Upload]:
        """All that is to be deleted or processed, in this order."""
        return (*self.withdrawn, *self.uploads)

    def reduced(self, withdrawn: list[Upload], uploads: list[Upload]) -> "KeyUploads":
        """Return the work with some of its versions.

        An empty object that was replaced is deleted without a row, so only with a newer upload.

        Args:
            withdrawn: Those that may be deleted.
            uploads: Those that may be processed.
        """
        while uploads and uploads[-1].size == 0 and uploads[-1] is not self.uploads[-1]:
            uploads = uploads[:-1]
        return replace(self, withdrawn=withdrawn, uploads=uploads)


def group_by_key(
    bucket: str, pages: Iterable[ListPage], ignore: Collection[str] = ()
) -> Iterator[KeyUploads]:
    """Group a listing by key.

    Args:
        bucket: The listed bucket.
        pages: The listing. At most one page and the versions of one key are held in memory.
        ignore: Globs (fnmatch) of keys that are left out: of whole keys if they contain a "/",
            else of the last part of a key.

    Yields:
        The work for each key. Empty objects whose keys end in "/" are left out: they are folder
        markers, which web consoles and Swift create.
    """
    globs = tuple(ignore)
    held: list[ListedVersion] = []
    for page in pages:
        keys: dict[str, list[ListedVersion]] = {}
        for version in [*held, *page.versions]:
            keys.setdefault(version.key, []).append(version)
        held = keys.pop(page.unfinished_key, []) if page.unfinished_key is not None else []
        yield from _classify_all(bucket, keys, globs)
    yield from _classify_all(bucket, {held[0].key: held} if held else {}, globs)


def is_ignored(key: str, globs: tuple[str, ...]) -> bool:
    """Return whether a key matches one of the globs (see `group_by_key`)."""
    of_keys, of_names = _patterns(globs)
    name = key.rpartition("/")[2]
    return bool(
        (of_keys.pattern and of_keys.match(key)) or (of_names.pattern and of_names.match(name))
    )


@lru_cache(maxsize=64)  # a pipeline's
def _patterns(globs: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of whole keys, and of the last parts of keys."""
    of_keys = re.compile("|".join(fnmatch.translate(glob) for glob in globs if "/" in glob))
    of_names = re.compile("|".join(fnmatch.translate(glob) for glob in globs if "/" not in glob))
    return of_keys, of_names


def _classify_all(
    bucket: str, keys: dict[str, list[ListedVersion]], globs: tuple[str, ...]
) -> Iterator[KeyUploads]:
    for key, versions in keys.items():
        is_folder = key.endswith("/") and not any(version.size for version in versions)
        if not (is_folder or is_ignored(key, globs)):
            yield classify(bucket, key, versions)


def classify(bucket: str, key: str, versions: list[ListedVersion]) -> KeyUploads:
    """Separate one key's uploads from what its delete markers cover.

    What is listed after a delete marker is older and was withdrawn by the user. Times do not
    matter: a multipart object carries the time at which it was begun, which may be before that of a
    marker below it. Versions come before all markers, so that none becomes the latest again if the
    worker is killed in between.

    Args:
        bucket: The listed bucket.
        key: The object key.
        versions: The key's versions and delete markers, newest first.

    Returns:
        The work for the key.
    """
    if len(versions) == 1 and not versions[0].is_marker:  # nearly every key
        return KeyUploads(key, [], [_upload(bucket, versions[0])])
    first_marker = next((n for n, one in enumerate(versions) if one.is_marker), len(versions))
    covered = [one for one in versions[first_marker:] if not one.is_marker]
    # A marker with the id "null" is replaced by the next upload, which has the same id.
    markers = [one for one in versions if one.is_marker and one.version_id != NULL_VERSION]
    return KeyUploads(
        key,
        [_upload(bucket, version) for version in [*reversed(covered), *reversed(markers)]],
        [_upload(bucket, version) for version in reversed(versions[:first_marker])],
    )


def _upload(bucket: str, version: ListedVersion) -> Upload:
    return Upload(
        bucket,
        version.key,
        version.version_id,
        version.etag,
        whole_seconds(version.last_modified),
        version.size,
        version.is_marker,
    )
