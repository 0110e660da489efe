"""A job: the work on one upload. Its id is known before any row exists."""

import hashlib
from dataclasses import dataclass

from worker.uploads.upload import Upload, storable

_ID_DIGITS = 32
_SHOWN_DIGITS = 12


def job_id(pipeline: str, upload: Upload, round_number: int = 0) -> str:
    """Return the id of the work on an upload: 128 bits in hex.

    Migration 002 computes the same in SQL for the rows that were there before.

    Args:
        pipeline: The pipeline's name.
        upload: The upload, as it was listed.
        round_number: 0, or the number of the retry that put the upload back.

    Returns:
        The first 32 digits of a SHA-256.
    """
    parts = (
        pipeline,
        upload.bucket,
        upload.key,
        upload.version_id,
        upload.etag,
        upload.last_modified.strftime("%Y-%m-%dT%H:%M:%SZ"),
        str(round_number),
    )
    text = "\0".join(map(storable, parts))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


@dataclass(frozen=True)
class Parent:
    """The result that an upload is a copy of.

    Attributes:
        job_id: The job that made it, of another pipeline.
        number: Its number among that job's results, from 1.
    """

    job_id: str
    number: int


@dataclass(frozen=True)
class Job:
    """The work on one upload.

    Attributes:
        id: See `job_id`.
        upload: The upload, as it was listed.
        run_id: The id of the first job of its run: what was made from one upload into a first
            pipeline.
        round: 0, or the number of the retry that put the upload back.
        parent: What the upload is a copy of, None in a first pipeline.
        retry_of: The job that it repeats, None in round 0.
    """

    id: str
    upload: Upload
    run_id: str
    round: int = 0
    parent: Parent | None = None
    retry_of: str | None = None


def first_job(pipeline: str, upload: Upload) -> Job:
    """Return the job on an upload that no other pipeline made and that was not put back."""
    own_id = job_id(pipeline, upload)
    return Job(own_id, upload, own_id)


def short_id(identifier: str) -> str:
    """Return the first digits of the id of a job or a run, which people read and type."""
    return identifier[:_SHOWN_DIGITS]
