"""Where the input and the results of a recorded job are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.errors import ObjectMissing
from worker.jobs import quarantine
from worker.ledger.ledger import DONE, QUARANTINED
from worker.ledger.page_ledger import PageLedger
from worker.settings import Settings
from worker.store.store import Store

INPUT = 0  # the number of a job's input, where results have the numbers from 1


@dataclass(frozen=True)
class StoredFile:
    """An object that a job read or made.

    Attributes:
        bucket: The bucket.
        key: The object key.
        version_id: "" where the bucket has no versions.
        name: The last part of the key that the job knew it under.
        sha256: In hex.
        bytes: Its size.
        content_type: Its media type, "" if it is not recorded.
    """

    bucket: str
    key: str
    version_id: str
    name: str
    sha256: str
    bytes: int
    content_type: str = ""


def from_output(settings: Settings, row: dict[str, Any]) -> StoredFile:
    """Return the result that a row of `outputs` names."""
    bucket = row["bucket"]
    if not bucket:  # a row from before this column
        bucket = settings.pipelines[row["pipeline"]].output
    return StoredFile(
        bucket,
        row["key"],
        row["version_id"],
        row["key"].rpartition("/")[2],
        row["sha256"],
        row["bytes"],
        row["content_type"] or "",
    )


def possible_inputs(
    ledger: PageLedger, settings: Settings, job: dict[str, Any]
) -> Sequence[StoredFile]:
    """Return where the input of a recorded job may be.

    Args:
        ledger: The stack's.
        settings: The stack's.
        job: A row of `StackLedger.job`.

    Returns:
        The result of the other pipeline that it was a copy of, or copies in the quarantine or the
        archive that it may have.
    """
    name = job["key"].rpartition("/")[2]
    if job["parent_id"]:
        row = ledger.output(job["parent_id"], job["parent_number"])
        if row and row["sha256"] == job["sha256"]:
            return [from_output(settings, row)]
    buckets = {QUARANTINED: settings.store.quarantine, DONE: settings.store.archive}
    bucket = buckets.get(job["state"])
    if not bucket:
        return []
    keys = quarantine.possible_keys(job["pipeline"], job["key"], job["sha256"])
    return [StoredFile(bucket, key, "", name, job["sha256"], job["bytes"]) for key in keys]


def may_have_input(settings: Settings, job: Mapping[str, Any]) -> bool:
    """Return whether something may still have a job's input, without asking the store.

    Args:
        settings: The stack's.
        job: Its pipeline, its state, and `is_copy`: whether it read the recorded result of another
            job, and not a camera's message or what several jobs made.
    """
    pipeline = settings.pipelines.get(job["pipeline"])
    is_archived = job["state"] == DONE and bool(pipeline and pipeline.keep_inputs)
    return job["is_copy"] or job["state"] == QUARANTINED or is_archived


def possible_files(
    ledger: PageLedger, settings: Settings, identifier: str, number: int
) -> Sequence[StoredFile]:
    """Return where a file of a recorded job may be, without asking the store.

    Args:
        ledger: The stack's.
        settings: The stack's.
        identifier: The job's id.
        number: INPUT, or the result's number.
    """
    if number != INPUT:
        row = ledger.output(identifier, number)
        return [from_output(settings, row)] if row else []
    job = ledger.job(identifier)
    return possible_inputs(ledger, settings, job) if job else []


def first_stored(store: Store, files: Sequence[StoredFile]) -> StoredFile | None:
    """Return the first file that the store has; the only one is returned without asking."""
    if len(files) == 1:
        return files[0]
    for file in files:
        try:
            store.head(file.bucket, file.key, file.version_id)
        except ObjectMissing:
            continue
        return file
    return None
