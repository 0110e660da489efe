"""The second step of a job: transform the file in the sandbox."""

from contextlib import suppress
from dataclasses import dataclass

from worker.errors import (
    InvalidInput,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.jobs.context import Context
from worker.jobs.fetch import Fetched
from worker.transforms import Produced

#: Crashes of a file that ran alone, after which it is quarantined.
MAX_CRASHES = 3


@dataclass(frozen=True)
class Rejection:
    """Why a file is quarantined."""

    reason: str


def transform(context: Context, source: Fetched, crashes: int | None) -> Produced | Rejection:
    """Transform a file whose attempt has been started in the ledger.

    Args:
        context: What all jobs share.
        source: The file.
        crashes: If the job runs alone, the crashes that the upload was counted before; None if
            others run beside it.

    Returns:
        The result, or the reason to quarantine the file.

    Raises:
        TransformCrashed: The process crashed, and the file is not yet known to be the cause.
        UploadDeferred: The transform cannot process this file on this machine yet.
        ServiceUnavailable: The machine prevents it.
        PassInterrupted: The pass was stopped.
        OSError: The disk cannot be used.
    """
    upload = source.upload
    if source.excess:
        return Rejection(source.excess)
    if crashes is not None and crashes >= MAX_CRASHES:
        return Rejection(f"it crashed the worker or its transform {crashes} times, alone")
    made: Produced | Rejection
    try:
        made = context.pool.run([source.path], [upload.key.rpartition("/")[2]])
    except InvalidInput as error:
        made = Rejection(str(error))
    except TransformCrashed as error:
        if crashes is None or crashes + 1 < MAX_CRASHES:
            raise
        return Rejection(f"its transform crashed {MAX_CRASHES} times, alone: {error}")
    except (UploadDeferred, ServiceUnavailable, PassInterrupted, OSError) as error:
        if crashes is not None:
            with suppress(ServiceUnavailable):
                context.ledger.uncount_crash(upload)
        if isinstance(error, UploadDeferred):
            raise UploadDeferred(f"{upload.key!r} is deferred: {error}.") from None
        raise
    if crashes is not None:
        # If the worker is killed from here on, this file is not the cause.
        context.ledger.clear_attempts([upload])
    return made
