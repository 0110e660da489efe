"""The user metadata of results, from which rows are rebuilt after the database was lost.

`./pipeline rebuild-log` reads it (rebuild_log.py).
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, unquote

from worker.jobs.fetch import UPLOAD, upload_token
from worker.jobs.task import Task
from worker.ledger.ledger import Maker
from worker.uploads.job import Job, Parent
from worker.uploads.upload import Upload, key_hash

# S3 takes 2 KB (user guide, "Working with object metadata"). rclone's server counts the names with
# their prefix and further headers, and takes 2,000 bytes.
_MAX_BYTES = 1500
# The limit of Swift's S3 interface (max_meta_value_length).
_MAX_VALUE_BYTES = 256
# An input's key may need several values: input-key, input-key-2, ….
_KEY = "input-key"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_JOB_ID, _SHA256 = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class ResultOrigin:
    """Where a result comes from, according to its metadata.

    Attributes:
        pipeline: The pipeline's name.
        job: The job.
        number: The result's number among the job's, from 1.
        key_sha256: Of the input's key, in hex; the key itself may be cut off.
        input_sha256: In hex.
        input_bytes: The size of the input.
        fence: Of the lease that it was stored under.
        attempts: How often the job was started.
        maker: What made it.
        seconds: From the start of the download to the PUT.
        machine: Where it was made.
        upload_token: Of the input, if that came over HTTP.
    """

    pipeline: str
    job: Job
    number: int
    key_sha256: str
    input_sha256: str
    input_bytes: int
    fence: int
    attempts: int
    maker: Maker
    seconds: float
    machine: str
    upload_token: str | None = None


def result_metadata(
    task: Task, pipeline: str, maker: Maker, machine: str, *, number: int, sha256: str
) -> dict[str, str]:
    """Return the metadata of a result.

    Copies of it in other pipelines have metadata of their own (fetch.py). No name is used in both
    with different meanings, since some stores merge the source's metadata into the copy's.

    Args:
        task: The job.
        pipeline: Its pipeline.
        maker: What made it.
        machine: This machine's name.
        number: The result's number among the job's, from 1.
        sha256: Its hash in hex.

    Returns:
        Values in ASCII by lower-case name, within the stores' limits.
    """
    source, job, upload = task.source, task.job, task.job.upload
    values: dict[str, object] = {
        "sha256": sha256,
        "input-sha256": source.sha256,
        "job": job.id,
        "fence": task.started.fence,
        "number": number,
        "pipeline": pipeline,
        "run": job.run_id,
        "attempts": task.started.attempts,
        "input-bucket": upload.bucket,
        "input-version": upload.version_id,
        "input-etag": upload.etag,
        "input-time": upload.last_modified.strftime(_TIME),
        "input-bytes": source.info.size,
        "transform": maker.transform,
        "transform-version": maker.version,
        "parameters-sha256": maker.parameters_sha256,
        "seconds": task.seconds(),
        "machine": machine,
    }
    if job.round:
        values |= {"round": job.round, "retry-of": job.retry_of}
    if token := upload_token(source.info.metadata):
        values["input-upload"] = token
    if job.parent:
        values |= {"input-job": job.parent.job_id, "input-number": job.parent.number}
    metadata = {name: str(value) for name, value in values.items() if value != ""}
    return metadata | _key_parts(upload.key, _MAX_BYTES - _size(metadata))


def _key_parts(key: str, space: int) -> dict[str, str]:
    """Return a key in as many values as needed; a key that is too long is truncated and hashed."""
    quoted = quote(key, errors="replace")
    starts = range(0, len(quoted), _MAX_VALUE_BYTES)
    pieces = [quoted[start : start + _MAX_VALUE_BYTES] for start in starts]
    parts = {f"{_KEY}-{n}" if n > 1 else _KEY: piece for n, piece in enumerate(pieces, 1)}
    if _size(parts) <= space:
        return parts
    return {_KEY: re.sub("%.?$", "", pieces[0]), f"{_KEY}-sha256": key_hash(key)}


def _size(metadata: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in metadata.items())


def read_metadata(metadata: Mapping[str, str]) -> ResultOrigin | None:
    """Return where a result comes from.

    Args:
        metadata: Its user metadata; anybody who may write to the bucket can forge it.

    Returns:
        None if it is incomplete: the object was stored by another program, or by an earlier worker,
        which stored hashes only.
    """
    with suppress(KeyError, ValueError):
        return _origin(metadata)
    return None


def _origin(metadata: Mapping[str, str]) -> ResultOrigin:
    key, key_sha256 = _key(metadata)
    upload = Upload(
        metadata["input-bucket"],
        key,
        metadata.get("input-version", ""),
        metadata.get("input-etag", ""),
        datetime.strptime(f"{metadata['input-time']}+0000", f"{_TIME}%z"),
    )
    parent = None
    if "input-job" in metadata:
        parent = Parent(_match(_JOB_ID, metadata["input-job"]), int(metadata["input-number"]))
    job = Job(
        _match(_JOB_ID, metadata["job"]),
        upload,
        _match(_JOB_ID, metadata["run"]),
        int(metadata.get("round", 0)),
        parent,
        metadata.get("retry-of"),
    )
    maker = Maker(
        metadata["transform"],
        metadata.get("transform-version", ""),
        metadata.get("parameters-sha256", ""),
    )
    return ResultOrigin(
        metadata["pipeline"],
        job,
        int(metadata["number"]),
        key_sha256,
        _match(_SHA256, metadata["input-sha256"]),
        int(metadata["input-bytes"]),
        int(metadata["fence"]),
        int(metadata["attempts"]),
        maker,
        float(metadata["seconds"]),
        metadata.get("machine", ""),
        upload_token({UPLOAD: metadata.get("input-upload", "")}),
    )


def _key(metadata: Mapping[str, str]) -> tuple[str, str]:
    """Return the input's key, and its hash."""
    if hashed := metadata.get(f"{_KEY}-sha256"):
        return unquote(metadata[_KEY]) + "…", _match(_SHA256, hashed)
    quoted, number = metadata[_KEY], 2
    while piece := metadata.get(f"{_KEY}-{number}"):
        quoted, number = quoted + piece, number + 1
    key = unquote(quoted)
    return key, key_hash(key)


def _match(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(text)
    return text
