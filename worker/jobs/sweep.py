"""The sweep: deletes results that were stored under lost leases.

A worker that was frozen beyond its lease may wake up, store a result, and be killed before it
learns that another machine has recorded the job meanwhile.
"""

from collections.abc import Iterator
from itertools import takewhile

from worker.errors import ObjectMissing, UploadDeferred
from worker.jobs.context import Context
from worker.jobs.result_metadata import read_metadata
from worker.ledger.ledger import LostLease, OutputVersion
from worker.store.store import Store


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
            failures = [_sweep(context.store, lease, output) for output in lease.outputs]
        except UploadDeferred:
            continue
        if not any(failures):
            swept.append(lease)
    if swept:
        context.ledger.end_lost_leases(swept)


def _sweep(store: Store, lease: LostLease, output: OutputVersion) -> bool:
    """Delete what a job stored under a lost lease; return whether a deletion failed."""
    versions = [
        (output.key, version_id)
        for version_id in _versions(store, output)
        if version_id != output.version_id and _is_stored_under(store, lease, output, version_id)
    ]
    return bool(versions and store.delete_versions(output.bucket, versions))


def _versions(store: Store, output: OutputVersion) -> Iterator[str]:
    """Yield the ids of a key's versions."""
    pages = store.list_pages(output.bucket, versions=True, prefix=output.key)
    listed = (version for page in pages for version in page.versions)
    # In the order of the keys: the one that is the prefix of all others comes first.
    for version in takewhile(lambda one: one.key == output.key, listed):
        if not version.is_marker:
            yield version.version_id


def _is_stored_under(
    store: Store, lease: LostLease, output: OutputVersion, version_id: str
) -> bool:
    try:
        origin = read_metadata(store.head(output.bucket, output.key, version_id).metadata)
    except ObjectMissing:
        return False
    return origin is not None and (origin.job.id, origin.fence) == (lease.job_id, lease.fence)
