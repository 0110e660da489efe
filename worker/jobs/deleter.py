"""The last step of a job: the deletion of its upload, together with others."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.errors import UploadDeferred
from worker.jobs import quarantine
from worker.jobs.context import Context
from worker.jobs.deletion import delete_uploads
from worker.jobs.lease_keeper import LeaseKeeper
from worker.jobs.recorded import Recorded
from worker.uploads.upload import Upload


@dataclass(frozen=True)
class Deleted:
    """Which recorded uploads were deleted.

    Attributes:
        ended: Deleted now, or replaced meanwhile.
        held: Not deleted: another machine has leased their keys.
        failures: Not deleted, with the reasons.
    """

    ended: list[Upload] = field(default_factory=list)
    held: list[Upload] = field(default_factory=list)
    failures: dict[Upload, UploadDeferred] = field(default_factory=dict)


def delete(context: Context, keeper: LeaseKeeper, recorded: Sequence[Recorded]) -> Deleted:
    """Delete uploads whose keys are still leased, and release the leases.

    Args:
        context: What all jobs share.
        keeper: Keeps the leases.
        recorded: The uploads.

    Returns:
        Which of them were deleted.

    Raises:
        ServiceUnavailable: The store or the database cannot be used.
    """  # noqa: DOC502  raised by what it calls
    deleted = Deleted()
    keys = [one.upload.key for one in recorded]
    try:
        held = keeper.held(keys)
        deleted.held.extend(one.upload for one in recorded if one.upload.key not in held)
        deletable = {}
        for one in recorded:
            if one.upload.key not in held:
                continue
            try:
                _remove_quarantined(context, one)
            except UploadDeferred as error:
                deleted.failures[one.upload] = error
            else:
                deletable[one.upload] = one.info
        deleted.failures.update(delete_uploads(context.store, deletable).failures)
        deleted.ended.extend(one for one in deletable if one not in deleted.failures)
        superfluous = {one.upload for one in recorded if one.is_superfluous}
        context.ledger.clear_attempts([one for one in deleted.ended if one in superfluous])
    finally:
        keeper.release(keys)
    return deleted


def _remove_quarantined(context: Context, recorded: Recorded) -> None:
    """Remove the quarantined copy of a retry that is done, unless another job needs it.

    Raises:
        UploadDeferred: The copy stays; so must the upload.
    """  # noqa: DOC502  raised by the store
    name, key, sha256 = context.pipeline.name, recorded.upload.key, recorded.quarantined
    if sha256 and not context.ledger.needs_copy(key, sha256):
        quarantine.remove(context.store, context.quarantine, name, key, sha256)
