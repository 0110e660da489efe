"""Which pool runs a pipeline's transform: its policy decides."""

import os
from pathlib import Path

from worker import transforms
from worker.environment import Environment, policy_of
from worker.sandbox.job_pool import JobPool
from worker.sandbox.pool import Pool, TransformPool
from worker.settings import Pipeline


def make_pool(
    pipeline: Pipeline, environment: Environment, folder: Path, size: int
) -> TransformPool:
    """Return a pool for a pipeline; its processes start when they are first needed.

    Args:
        pipeline: Its settings.
        environment: What is prepared for it on this machine.
        folder: Where the folders of its processes are made.
        size: How many jobs run side by side.

    Returns:
        The pool.

    Raises:
        InvalidSettings: There is no such transform, or the parameters are not its own.
        ServiceUnavailable: A program that every job needs is missing.
    """  # noqa: DOC502  raised by the pools
    policy = policy_of(pipeline)
    if policy == transforms.COMMAND:
        return JobPool(pipeline, environment, folder, size, os.environ.get("JOB_SOCKET"))
    return Pool(
        pipeline.transform,
        pipeline.parameters,
        pipeline.limits,
        folder,
        size,
        environment=environment,
        is_model=policy == transforms.MODEL,
    )
