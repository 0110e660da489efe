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
from worker.jobs.inputs import inputs_of
from worker.jobs.task import Task
from worker.transforms import Produced

#: Crashes of a file that ran alone, after which it is quarantined.
MAX_CRASHES = 3


@dataclass(frozen=True)
class Rejection:
    """Why a file is quarantined, and the end of what the transform printed."""

    reason: str
    log: str = ""


def transform(context: Context, task: Task, crashes: int | None) -> Produced | Rejection:
    """Transform the input of a job that has been started in the ledger.

    Args:
        context: What all jobs share.
        task: The job.
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
    source, upload = task.source, task.job.upload
    if source.excess:
        return Rejection(source.excess)
    if crashes is not None and crashes >= MAX_CRASHES:
        return Rejection(f"it crashed the worker or its transform {crashes} times, alone")
    made: Produced | Rejection
    try:
        inputs = inputs_of(context, task)
        made = context.pool.run(inputs.paths, inputs.names, inputs.content)
    except InvalidInput as error:
        made = Rejection(str(error), error.log)
    except TransformCrashed as error:
        if crashes is None or crashes + 1 < MAX_CRASHES:
            raise
        reason = f"its transform crashed {MAX_CRASHES} times, alone: {error}"
        return Rejection(reason, error.log)
    except (UploadDeferred, ServiceUnavailable, PassInterrupted, OSError) as error:
        if crashes is not None:
            with suppress(ServiceUnavailable):
                context.ledger.uncount_crash(upload)
        if isinstance(error, UploadDeferred):
            reason = str(error).rstrip(".")
            raise UploadDeferred(f"{upload.key!r} is deferred: {reason}.") from None
        raise
    if crashes is not None:
        # If the worker is killed from here on, this file is not the cause.
        context.ledger.clear_attempts([upload])
    return made
