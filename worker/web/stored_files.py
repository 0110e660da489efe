"""Where the input and the results of a recorded job are stored."""

from collections.abc import Mapping
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


def result_file(ledger: PageLedger, settings: Settings, job: str, number: int) -> StoredFile | None:
    """Return a result of a job, None if there is none of this number."""
    row = ledger.output(job, number)
    return from_output(settings, row) if row else None


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


def input_file(
    ledger: PageLedger, settings: Settings, store: Store, job: dict[str, Any]
) -> StoredFile | None:
    """Return the input of a recorded job, as far as something still has it.

    Args:
        ledger: The stack's.
        settings: The stack's.
        store: The object store.
        job: A row of `StackLedger.job`.

    Returns:
        The result of the other pipeline that it was a copy of, or the copy in the quarantine or
        the archive; None if there is none.
    """
    name = job["key"].rpartition("/")[2]
    if job["parent_id"]:
        row = ledger.output(job["parent_id"], job["parent_number"])
        if row and row["sha256"] == job["sha256"]:
            return from_output(settings, row)
    buckets = {QUARANTINED: settings.store.quarantine, DONE: settings.store.archive}
    if bucket := buckets.get(job["state"]):
        for key in quarantine.possible_keys(job["pipeline"], job["key"], job["sha256"]):
            try:
                store.head(bucket, key)
            except ObjectMissing:
                continue
            return StoredFile(bucket, key, "", name, job["sha256"], job["bytes"])
    return None


def may_have_input(settings: Settings, job: Mapping[str, Any]) -> bool:
    """Return whether something may still have a job's input, without asking the store."""
    pipeline = settings.pipelines.get(job["pipeline"])
    keeps = bool(pipeline and pipeline.keep_inputs)
    return bool(job["parent_id"]) or job["state"] == QUARANTINED or keeps


def job_file(
    ledger: PageLedger, settings: Settings, store: Store, identifier: str, number: int
) -> StoredFile | None:
    """Return a file of a recorded job, None if there is none.

    Args:
        ledger: The stack's.
        settings: The stack's.
        store: The object store.
        identifier: The job's id.
        number: INPUT, or the result's number.
    """
    if number != INPUT:
        return result_file(ledger, settings, identifier, number)
    job = ledger.job(identifier)
    return input_file(ledger, settings, store, job) if job else None
