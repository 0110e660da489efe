"""The first step of a job: download the upload, and find out where it comes from."""

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ObjectMissing, UploadDeferred
from worker.jobs.disk import Space
from worker.ledger.ledger import Claim, Ledger, Origin
from worker.store.store import ObjectInfo, Store
from worker.uploads.job import Job, Parent, job_id
from worker.uploads.upload import EMPTY_ETAG, Upload

#: Metadata of a copy of another pipeline's result: its run, the job that made it, its number. The
#: object of a camera's message has the message's id as the job, and the number 1.
RUN, PARENT, NUMBER = "run", "parent", "number"
#: Metadata of an upload that a retry put back: the quarantined job.
RETRY = "retry"
#: Metadata of an upload that came over HTTP: the token that its sender got.
UPLOAD = "upload"
#: What tokens look like: no job's id does.
UPLOAD_TOKEN = re.compile("u[0-9a-f]{32}")
_JOB_ID, _NUMBER = re.compile("[0-9a-f]{32}"), re.compile("[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Fetched:
    """An upload's file on this machine.

    Attributes:
        upload: The upload, as it was listed.
        info: What GET reported; it guards the deletion (see `delete_uploads`).
        path: The file, or where it would be if it were not in memory.
        sha256: Its hash in hex.
        seconds: How long the download took.
        excess: Why the file is not there: it is too large for this machine.
        content: The file's bytes, if they are in memory.
    """

    upload: Upload
    info: ObjectInfo
    path: Path
    sha256: str
    seconds: float
    excess: str | None = None
    content: bytes | None = None

    @property
    def body(self) -> Path | bytes:
        """The file's bytes if they are in memory, otherwise its path."""
        return self.path if self.content is None else self.content


def fetch(store: Store, space: Space, upload: Upload, path: Path, memory: int = 0) -> Fetched:
    """Download an upload; of one that is too large for this machine, only read the hash.

    Args:
        store: The object store.
        space: Of the disk that the path is on.
        upload: The upload, as it was listed.
        path: The file to write.
        memory: Up to how many bytes it is kept in memory instead.

    Returns:
        The file that was listed, whole.

    Raises:
        ObjectMissing: The upload was deleted, or replaced by another.
        UploadDeferred: It does not fit on the disk now, or the download failed.
    """
    start, where = time.monotonic(), (upload.bucket, upload.key, upload.version_id, upload.etag)
    size = _size(store, space, upload)
    needed, excess = space.needed(size), space.excess(size)
    if needed > space.free:
        raise UploadDeferred(
            f"{upload.key!r} needs {needed} bytes of disk, for itself and its results, and "
            f"{space.free} are free: free space on the machine."
        )
    content = None
    if size <= memory and not excess:
        info, sha256, content = store.read(*where, size)
    else:
        info, sha256 = store.hash(*where) if excess else store.get(*where, path)
    if not upload.is_pinned and info.etag != upload.etag and not info.is_manifest:
        raise ObjectMissing(upload.key)  # the store ignored the condition
    if info.size != size:  # a truncated response may look complete
        raise UploadDeferred(f"The store sent {info.size} of the {size} bytes of {upload.key!r}.")
    return Fetched(upload, info, path, sha256, time.monotonic() - start, excess, content)


def _size(store: Store, space: Space, upload: Upload) -> int:
    """Return the size of an upload; a large object of Swift is listed as an empty one.

    Raises:
        UploadDeferred: It is such an object, and too large: it could not be quarantined, either.
    """
    if upload.etag != EMPTY_ETAG:
        return upload.size
    found = store.head(upload.bucket, upload.key, upload.version_id)  # quirks.MANIFEST_IS_LISTED
    excess = space.excess(found.size)
    if found.is_manifest and excess:  # quirks.MANIFEST_IS_COPIED
        raise UploadDeferred(
            f"{upload.key!r} was uploaded over Swift in segments, which the store cannot copy into "
            f"quarantine, and {excess}."
        )
    return found.size


def upload_token(metadata: Mapping[str, str]) -> str | None:
    """Return the token in an upload's metadata, None without a valid one."""
    token = metadata.get(UPLOAD, "")
    return token if UPLOAD_TOKEN.fullmatch(token) else None


def identify(
    ledger: Ledger, pipeline: str, sources: Collection[str], fetched: Sequence[Fetched]
) -> dict[Upload, tuple[Job, bool]]:
    """Return the jobs on uploads. The ledger is only asked about those that claim an origin.

    Args:
        ledger: The pipeline's ledger.
        pipeline: The pipeline's name.
        sources: The pipelines whose results it reads.
        fetched: The uploads.

    Returns:
        The job of each upload, and whether the upload is superfluous: a further copy of a result,
        of a camera's message, or of an upload that was put back, that already has another job.
    """
    claims = [claim for one in fetched if (claim := _claim(one))]
    origins = ledger.find_origins(claims, sources) if claims else {}
    return {one.upload: _job(pipeline, one.upload, origins.get(one.upload)) for one in fetched}


def _claim(source: Fetched) -> Claim | None:
    metadata = source.info.metadata
    retry, parent, number = (metadata.get(name, "") for name in (RETRY, PARENT, NUMBER))
    if not _JOB_ID.fullmatch(retry):
        retry = ""
    is_copy = _JOB_ID.fullmatch(parent) and _NUMBER.fullmatch(number)
    if not (retry or is_copy):
        return None
    origin = Parent(parent, int(number)) if is_copy else None
    return Claim(source.upload, source.sha256, retry, origin)


def _job(pipeline: str, upload: Upload, origin: Origin | None) -> tuple[Job, bool]:
    if origin is None:
        own_id = job_id(pipeline, upload)
        return Job(own_id, upload, own_id), False
    own_id = job_id(pipeline, upload, origin.round)
    run_id = origin.run_id or own_id
    job = Job(own_id, upload, run_id, origin.round, origin.parent, origin.retry_of)
    return job, origin.successor not in (None, own_id)
