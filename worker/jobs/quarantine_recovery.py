"""`rebuild-log`: rows of quarantined jobs, rebuilt from the notes in the quarantine bucket.

A note has all that its job's row contains (quarantine.py).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from worker.errors import ObjectMissing, UploadDeferred
from worker.jobs import quarantine
from worker.jobs.fetch import RETRY
from worker.ledger.stack_ledger import StackLedger
from worker.settings import Settings
from worker.store.store import Store
from worker.uploads.job import job_id
from worker.uploads.listing import ListedVersion, group_by_key
from worker.uploads.upload import Upload, whole_seconds

#: Until version 0.2, keys in quarantine did not name the pipeline: there was one.
_FIRST_PIPELINE = "negatives"
_COPY = re.compile("(.*)/([0-9a-f]{64})", re.DOTALL)
_BATCH = 500  # rows per statement


@dataclass
class QuarantineReport:
    """What `recover_quarantine` found.

    Attributes:
        rebuilt: The ids of jobs whose rows were added.
        put_back: The ids of quarantined jobs whose retry was recorded again: their uploads wait.
        without_copy: The ids of quarantined jobs whose copy is missing: since the backup that the
            database was restored from they were dropped, or retried and done.
        unexplained: Keys of copies without a readable note.
    """

    rebuilt: list[str] = field(default_factory=list)
    put_back: list[str] = field(default_factory=list)
    without_copy: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)


def recover_quarantine(
    settings: Settings, ledger: StackLedger, store: Store, pipeline: str | None = None
) -> QuarantineReport:
    """Bring the rows of quarantined jobs in line with the quarantine bucket.

    Rows are added, existing ones are not changed. Call it after the rows of done jobs were rebuilt,
    so that retries of quarantined jobs are known.

    Args:
        settings: The stack's.
        ledger: The stack's.
        store: The object store.
        pipeline: Only jobs of this pipeline; None also finds those of deleted pipelines.

    Returns:
        What was found.
    """
    report = QuarantineReport()
    pages = store.list_pages(settings.store.quarantine, versions=False)
    listed = {version.key: version for page in pages for version in page.versions}
    rows = _lost_rows(settings, store, listed, pipeline, report)
    while batch := list(islice(rows, _BATCH)):
        report.rebuilt += ledger.add_quarantined(batch)
    _note_retries(settings, ledger, store, pipeline, report)
    for row in ledger.quarantined(pipeline):
        where = quarantine.possible_keys(row["pipeline"], row["key"], row["sha256"])
        if not any(key in listed for key in where):
            report.without_copy.append(row["id"])
    return report


def _lost_rows(
    settings: Settings,
    store: Store,
    listed: dict[str, ListedVersion],
    pipeline: str | None,
    report: QuarantineReport,
) -> Iterator[dict[str, Any]]:
    """Yield the rows that the notes of copies describe."""
    with TemporaryDirectory() as folder:
        for key, copy in listed.items():
            if not _COPY.fullmatch(key):
                continue
            note = listed.get(quarantine.note_key(key))
            try:
                row = _row(settings, store, Path(folder), copy, note)
            except (ValueError, KeyError, TypeError, AttributeError, UploadDeferred):
                report.unexplained.append(key)
            except ObjectMissing:  # dropped meanwhile
                continue
            else:
                if pipeline in (None, row["pipeline"]):
                    yield row


def _row(
    settings: Settings,
    store: Store,
    folder: Path,
    copy: ListedVersion,
    listed_note: ListedVersion | None,
) -> dict[str, Any]:
    """Return the row of a copy's job.

    Raises:
        ValueError: There is no note, or it is not this copy's. Other errors (KeyError, TypeError,
            AttributeError) also mean that it cannot be read.
    """
    if listed_note is None:
        raise ValueError(copy.key)
    bucket, target = settings.store.quarantine, folder / "note"
    store.get(bucket, listed_note.key, "", listed_note.etag, target)
    note = json.loads(target.read_bytes())
    last_modified = whole_seconds(datetime.fromisoformat(note["last_modified"]))
    version_id = note["version_id"] or ""
    upload = Upload(note["bucket"], note["key"], version_id, note["etag"], last_modified)
    pipeline = note.get("pipeline") or _pipeline_of(copy.key, upload.key, note["sha256"])
    round_number = int(note.get("round", 0))
    is_own = copy.key in quarantine.possible_keys(pipeline, upload.key, note["sha256"])
    if not is_own or note["job"] != job_id(pipeline, upload, round_number):
        raise ValueError(copy.key)
    known = settings.pipelines.get(pipeline)
    return {
        "pipeline": pipeline,
        "job_id": note["job"],
        "round": round_number,
        "run_id": note.get("run") or note["job"],
        "parent_id": note.get("parent"),
        "parent_number": note.get("parent_number"),
        "retry_of": note.get("retry_of"),
        "fence": note.get("fence"),
        "attempts": note.get("attempts"),
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id,
        "etag": upload.etag,
        "last_modified": last_modified.isoformat(),
        "input_sha256": note["sha256"],
        "input_bytes": copy.size,
        "seconds": float(note.get("seconds", 0)),
        "worker": note["worker"],
        "upload_token": note.get("upload_token"),
        "reason": note["reason"],
        "transform": note.get("transform") or (known.transform if known else "negate"),
        "transform_version": note.get("transform_version"),
        "parameters_sha256": note.get("parameters_sha256"),
        "created_at": listed_note.last_modified.isoformat(),
    }


def _pipeline_of(stored: str, key: str, sha256: str) -> str:
    """Return the pipeline of a copy whose note does not name it."""
    first = stored.partition("/")[0]
    return first if stored == quarantine.storage_key(first, key, sha256) else _FIRST_PIPELINE


def _note_retries(
    settings: Settings,
    ledger: StackLedger,
    store: Store,
    pipeline: str | None,
    report: QuarantineReport,
) -> None:
    """Record the retries of quarantined jobs whose uploads were put back and still wait."""
    for one in settings.pipelines.values():
        if pipeline not in (None, one.name):
            continue
        pages = store.list_pages(one.input, versions=store.is_versioned(one.input))
        uploads = (upload for work in group_by_key(one.input, pages) for upload in work.uploads)
        while batch := list(islice(uploads, _BATCH)):
            for job in ledger.quarantined_of(one.name, [upload.key for upload in batch]):
                for upload in batch:
                    if upload.key == job["key"] and _retry_of(store, upload) == job["id"]:
                        report.put_back += [job["id"]] if ledger.retry(job["id"]) else []


def _retry_of(store: Store, upload: Upload) -> str:
    try:
        metadata = store.head(upload.bucket, upload.key, upload.version_id).metadata
    except (ObjectMissing, UploadDeferred):
        return ""
    return metadata.get(RETRY, "")
