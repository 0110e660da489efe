"""The sweep: deletes results that no row names, since they were stored under lost leases.

A worker may be killed, or lose the store or the database, after it has stored a result and before
it has recorded the job. Or it was frozen beyond its lease, wakes up, and stores a result although
another machine has recorded the job meanwhile.
"""

from collections.abc import Iterator
from itertools import takewhile

from worker.errors import ObjectMissing, UploadDeferred
from worker.jobs.context import Context
from worker.jobs.result_metadata import read_metadata
from worker.ledger.ledger import OutputVersion
from worker.store.store import Store, Version


def sweep(context: Context) -> None:
    """Delete versions that a job stored under a lease that it lost before it was recorded.

    It costs one statement unless a lease was lost. Adopted buckets are not swept. Versions that
    cannot be examined or deleted now are left for the next pass.

    Args:
        context: What all jobs share.

    Raises:
        ServiceUnavailable: The store or the database cannot be used.
    """  # noqa: DOC502  raised by store and ledger
    if context.pipeline.output_adopted:
        return
    swept = []
    for lease in context.ledger.lost_leases():
        try:
            failures = [
                delete_others(context.store, lease.job_id, lease.fence, output)
                for output in lease.outputs
            ]
        except UploadDeferred:
            continue
        if not any(failures):
            swept.append(lease)
    if swept:
        context.ledger.end_lost_leases(swept)


def delete_others(
    store: Store, job_id: str, fence: int, output: OutputVersion
) -> dict[Version, UploadDeferred]:
    """Delete what a job stored under a lease beside the version that counts.

    Args:
        store: The object store.
        job_id: The job.
        fence: Of the lease.
        output: The version that counts.

    Returns:
        The versions that could not be deleted, with the errors.

    Raises:
        ServiceUnavailable: The store cannot be used.
        UploadDeferred: A version could not be examined.
    """  # noqa: DOC502  raised by the store
    versions = [
        (output.key, version_id)
        for version_id in _versions(store, output)
        if version_id != output.version_id and _origin(store, output, version_id) == (job_id, fence)
    ]
    return store.delete_versions(output.bucket, versions) if versions else {}


def _versions(store: Store, output: OutputVersion) -> Iterator[str]:
    """Yield the ids of a key's versions."""
    pages = store.list_pages(output.bucket, versions=True, prefix=output.key)
    listed = (version for page in pages for version in page.versions)
    # In the order of the keys: the one that is the prefix of all others comes first.
    for version in takewhile(lambda one: one.key == output.key, listed):
        if not version.is_marker:
            yield version.version_id


def _origin(store: Store, output: OutputVersion, version_id: str) -> tuple[str, int] | None:
    """Return the job that stored a version, and the fence of its lease."""
    try:
        origin = read_metadata(store.head(output.bucket, output.key, version_id).metadata)
    except ObjectMissing:
        return None
    return (origin.job.id, origin.fence) if origin else None
