"""Deletion of uploads. Every DELETE in the input bucket is sent from here and from nowhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.errors import ObjectMissing, UploadDeferred
from worker.store.store import ObjectInfo, Store
from worker.uploads.upload import Upload


@dataclass(frozen=True)
class Deletion:
    """The uploads that were not deleted.

    Attributes:
        missing: Deleted already, or replaced by a newer upload.
        failures: Still there, with the reasons.
    """

    missing: list[Upload] = field(default_factory=list)
    failures: dict[Upload, UploadDeferred] = field(default_factory=dict)


def delete_uploads(store: Store, uploads: Mapping[Upload, ObjectInfo]) -> Deletion:
    """Delete exactly these uploads.

    A version is deleted by its id, many in one request. Objects without such ids are deleted one by
    one, since DeleteObjects has no condition: HEAD must show the object that was read, and DELETE
    with If-Match follows at once. Where the store ignores the condition, a newer upload that
    arrives between the two requests is lost (docs/object-stores.md).

    Args:
        store: The store of the input bucket.
        uploads: The uploads of one bucket, and what GET reported of each. The listing is not
            enough: rclone's shows other times than GET and HEAD (quirks.LISTED_TIME_DIFFERS), and
            the same bytes may have been uploaded again since.

    Returns:
        The uploads that were not deleted.
    """
    deletion = Deletion()
    versions = {(one.key, one.version_id): one for one in uploads if one.is_pinned}
    if versions:
        bucket = next(iter(versions.values())).bucket
        failures = store.delete_versions(bucket, list(versions))
        deletion.failures.update((versions[one], error) for one, error in failures.items())
    for upload, info in uploads.items():
        if upload.is_pinned:
            continue
        bucket, key, version_id = upload.bucket, upload.key, upload.version_id
        try:
            if store.head(bucket, key, version_id).is_same_put(info):
                store.delete_if_unchanged(bucket, key, version_id, upload.etag)
            else:
                deletion.missing.append(upload)
        except ObjectMissing:
            deletion.missing.append(upload)
        except UploadDeferred as error:
            deletion.failures[upload] = error
    return deletion


def delete_withdrawn(store: Store, uploads: Sequence[Upload]) -> Deletion:
    """Delete versions and delete markers that the user withdrew; they have not been read.

    Markers are deleted after all versions. If a version could not be deleted, the markers of its
    key stay, so that it does not become the latest version again.

    Args:
        store: The store of the input bucket.
        uploads: The versions and markers, of any number of keys of one bucket.

    Returns:
        What was not deleted.
    """
    deletion = Deletion()
    for are_markers in (False, True):
        kept = {one.key: error for one, error in deletion.failures.items()}
        chosen = [one for one in uploads if one.is_marker == are_markers]
        deletion.failures.update({one: kept[one.key] for one in chosen if one.key in kept})
        listed = {
            one: ObjectInfo(one.etag, one.last_modified, one.size)
            for one in chosen
            if one.key not in kept
        }
        ended = delete_uploads(store, listed)
        deletion.missing.extend(ended.missing)
        deletion.failures.update(ended.failures)
    return deletion
