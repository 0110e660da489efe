"""`rebuild-log`: rows of done jobs, rebuilt from the metadata of their results.

Records, notes and logs of jobs are in no metadata: they are lost with the database, as are the rows
of jobs that stored no object.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from worker.errors import ObjectMissing
from worker.jobs.result_metadata import ResultOrigin, read_metadata
from worker.ledger.ledger import DONE
from worker.ledger.stack_ledger import StackLedger
from worker.ledger.values import identity, key_sha256
from worker.settings import Pipeline
from worker.store.store import ObjectInfo, Store
from worker.transforms import describe
from worker.uploads.job import job_id
from worker.uploads.listing import ListedVersion
from worker.uploads.upload import Upload, whole_seconds

# Requests at a time: each waits for the store's answer.
_THREADS = 16
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass
class Rebuilt:
    """What `rebuild` found in a pipeline's output bucket.

    Attributes:
        pipeline: The pipeline.
        added: Rows that were added.
        results: Results that were found; several may belong to one job, and a job may have a row.
        others: Objects that are not results of the pipeline.
    """

    pipeline: str
    added: int = 0
    results: int = 0
    others: int = 0


def rebuild(ledger: StackLedger, store: Store, pipeline: Pipeline) -> Rebuilt:
    """Add rows for the results in a pipeline's output bucket; existing rows are not changed.

    It may be repeated, and workers may run meanwhile. One page of the listing is held in memory.

    Args:
        ledger: The stack's.
        store: The object store.
        pipeline: The pipeline.

    Returns:
        What was found.

    Raises:
        ServiceUnavailable: The store or the database cannot be used.
        UploadDeferred: An object cannot be examined now.
    """  # noqa: DOC502  raised by store and ledger
    found, bucket = Rebuilt(pipeline.name), pipeline.output
    versions = store.is_versioned(bucket)
    with ThreadPoolExecutor(_THREADS) as executor:
        for page in store.list_pages(bucket, versions=versions):
            listed = [one for one in page.versions if not one.is_marker]
            infos = executor.map(lambda one: _info(store, bucket, one), listed)
            rows = [
                _row(pipeline, one, info)
                for one, info in zip(listed, infos, strict=True)
                if info is not None
            ]
            results = [row for row in rows if row]
            found.added += ledger.rebuild(results)
            found.results += len(results)
            found.others += len(rows) - len(results)
    ledger.name_first_outputs(pipeline.name)
    return found


def _info(store: Store, bucket: str, listed: ListedVersion) -> ObjectInfo | None:
    try:
        return store.head(bucket, listed.key, listed.version_id)
    except ObjectMissing:  # deleted or replaced since it was listed
        return None


def _row(pipeline: Pipeline, listed: ListedVersion, info: ObjectInfo) -> dict[str, Any] | None:
    """Return the row that a result describes, None for another object."""
    metadata = info.metadata
    hashes = [metadata.get(name, "") for name in ("sha256", "input-sha256")]
    if not all(_SHA256.fullmatch(each) for each in hashes):
        return None
    origin = read_metadata(metadata)
    if origin and origin.pipeline != pipeline.name:
        return None
    row = _complete(origin) if origin else _guessed(pipeline, listed, hashes[1])
    output = {
        "job_id": row["job_id"],
        "number": origin.number if origin else 1,
        "pipeline": pipeline.name,
        "run_id": row["run_id"],
        "bucket": pipeline.output,
        "key": listed.key,
        "key_sha256": key_sha256(listed.key),
        "version_id": listed.version_id,
        "etag": info.etag,
        "sha256": hashes[0],
        "bytes": info.size,
        "content_type": info.content_type,
        "fence": row["fence"],
    }
    moment = whole_seconds(listed.last_modified).isoformat()
    common = {"created_at": moment, "pipeline": pipeline.name, "outcome": DONE, "notes": []}
    return row | common | {"output": output}


def _complete(origin: ResultOrigin) -> dict[str, Any]:
    job, upload, maker = origin.job, origin.job.upload, origin.maker
    return {
        "job_id": job.id,
        "run_id": job.run_id,
        "round": job.round,
        "parent_id": job.parent and job.parent.job_id,
        "parent_number": job.parent and job.parent.number,
        "retry_of": job.retry_of,
        "fence": origin.fence,
        "attempts": origin.attempts,
        **identity(upload),
        "key_sha256": rf"\x{origin.key_sha256}",
        "input_sha256": origin.input_sha256,
        "input_bytes": origin.input_bytes,
        "seconds": origin.seconds,
        "worker": origin.machine,
        "upload_token": origin.upload_token,
        "transform": maker.transform,
        "transform_version": maker.version,
        "parameters_sha256": maker.parameters_sha256,
    }


def _guessed(pipeline: Pipeline, listed: ListedVersion, input_sha256: str) -> dict[str, Any]:
    """Return what is known about a result of an earlier worker, which stored hashes only.

    The job's id is derived from the result: the upload's version, ETag and time are unknown.
    """
    moment = whole_seconds(listed.last_modified)
    result = Upload(pipeline.output, listed.key, listed.version_id, listed.etag, moment)
    own_id = job_id(pipeline.name, result)
    key = _input_key(pipeline, listed.key)
    upload = Upload(pipeline.input, key, "", "", moment)
    return {
        "job_id": own_id,
        "run_id": own_id,
        "round": 0,
        "fence": None,
        **identity(upload),
        "key_sha256": key_sha256(key),
        "input_sha256": input_sha256,
        "input_bytes": 0,
        "seconds": 0,
        "worker": "",
        "transform": pipeline.transform,
    }


def _input_key(pipeline: Pipeline, key: str) -> str:
    """Return the key of a result's input, as far as the pattern of the results' keys shows it."""
    prefix, slash, name = key.rpartition("/")
    pattern = pipeline.output_key or describe(pipeline.transform).output_key
    before, field, after = pattern.partition("{name}")
    is_plain = field and "{" not in before + after
    if is_plain and name.startswith(before) and name.endswith(after):
        name = name[len(before) : len(name) - len(after)] or name
    return prefix + slash + name
