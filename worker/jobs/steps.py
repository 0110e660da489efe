"""What is done for uploads, in the one order that loses and doubles nothing when killed anywhere:
output, then row, then delete.

Every delete of an input object or version is issued from here, and from nowhere else.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from worker.errors import (
    InvalidInput,
    ObjectMissing,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.jobs import quarantine
from worker.ledger.ledger import Ledger, Result
from worker.sandbox.confinement import LARGEST_FILE
from worker.sandbox.pool import Pool
from worker.settings import StoreSettings
from worker.store.answers import Found
from worker.store.contents import Contents, contents_of
from worker.store.s3_store import Store
from worker.transforms import output_key
from worker.uploads.upload import Upload

CRASHES = 3  # alone; then the file is quarantined
_HOLD_SECONDS = 1  # outputs wait so long for their fellows, to share a row's and a delete's trip


@dataclass(frozen=True)
class Context:
    """What a step works with."""

    store: Store
    buckets: StoreSettings
    ledger: Ledger
    pool: Pool
    transform: str
    machine: str
    folder: Path


@dataclass(frozen=True)
class Fetched:
    """An upload's bytes on this machine."""

    upload: Upload
    found: Found  # by GET, which may report another Last-Modified than the listing
    path: Path
    sha256: str
    seconds: float


@dataclass(frozen=True)
class Transformed:
    """The transform's result, on this machine."""

    contents: Contents
    content_type: str


@dataclass(frozen=True)
class Rejection:
    """Why a file belongs in quarantine."""

    reason: str


@dataclass(frozen=True)
class Outcome:
    """How uploads ended."""

    gone: list[Upload] = field(default_factory=list)  # before they were read
    results: list[Result] = field(default_factory=list)  # rows that are written
    missed: list[Upload] = field(default_factory=list)  # of these, what was not there to delete
    troubles: dict[Upload, UploadDeferred | TransformCrashed] = field(
        default_factory=dict
    )  # still there, and why

    def trouble(self, upload: Upload, error: Exception) -> None:
        """Note what one upload met: it keeps no other from its end."""
        if not isinstance(error, UploadDeferred | TransformCrashed):
            error = UploadDeferred(f"{type(error).__name__}: {error}")
        self.troubles[upload] = error


def step(
    context: Context, uploads: list[Upload], alone: Mapping[Upload, int] | None = None
) -> Outcome:
    """Process uploads, each of another key.

    ServiceUnavailable and PassInterrupted: not all were processed.

    `alone` is given where nothing else runs meanwhile, with the crashes counted so far.
    """
    outcome = Outcome()
    with TemporaryDirectory(dir=context.folder) as scratch:
        fetched = fetch(context.store, uploads, Path(scratch), outcome)
        context.ledger.start_attempts([one.upload for one in fetched], alone=alone is not None)
        try:
            _work_off(context, fetched, alone, outcome)
        except (ServiceUnavailable, PassInterrupted):
            if alone is None:  # alone, whatever counts against a file shall stay counted
                _forget(context, [one for one in fetched if one.upload not in outcome.troubles])
            raise
    return outcome


def _work_off(
    context: Context,
    fetched: list[Fetched],
    alone: Mapping[Upload, int] | None,
    outcome: Outcome,
) -> None:
    held: list[tuple[Fetched, Result]] = []  # whose outputs are there
    since = time.monotonic()
    for one in fetched:
        start = time.monotonic()
        if held and start - since > _HOLD_SECONDS:
            settle(context, held, outcome)
            held, since = [], start
        try:
            made = attempt(context, one, alone)
            result = (
                publish(context, one, made)
                if isinstance(made, Transformed)
                else seclude(context, one, made)
            )
        except (ServiceUnavailable, PassInterrupted, OSError):
            raise
        except Exception as error:  # noqa: BLE001  no upload may keep the others from their turn
            outcome.trouble(one.upload, error)
            if alone is None and not isinstance(error, TransformCrashed):
                _forget(context, [one])
            continue
        seconds = round(one.seconds + time.monotonic() - start, 3)
        held.append((one, replace(result, seconds=seconds)))
    settle(context, held, outcome)


def _forget(context: Context, fetched: list[Fetched]) -> None:
    with suppress(ServiceUnavailable):
        context.ledger.clear_attempts([one.upload for one in fetched])


def fetch(store: Store, uploads: list[Upload], folder: Path, outcome: Outcome) -> list[Fetched]:
    """Download exactly what was listed."""
    fetched = []
    for number, upload in enumerate(uploads):
        start, path, key = time.monotonic(), folder / f"{number}.in", upload.key
        if upload.size > LARGEST_FILE:
            problem = f"{key!r} has {upload.size} bytes, more than a single PUT takes: nothing can"
            outcome.trouble(upload, UploadDeferred(f"{problem} be made of it, so remove it."))
            continue
        try:
            found, sha256 = store.get(upload.bucket, key, upload.version_id, upload.etag, path)
        except ObjectMissing:
            outcome.gone.append(upload)
            continue
        except UploadDeferred as error:
            outcome.trouble(upload, error)
            continue
        if not upload.pinned and found.etag != upload.etag:
            outcome.gone.append(upload)
            continue
        if found.size != upload.size:  # what broke off may not tell: no verdict over a part
            problem = f"The store gave {found.size} of the {upload.size} bytes of {key!r}."
            outcome.trouble(upload, UploadDeferred(problem))
            continue
        seconds = time.monotonic() - start
        fetched.append(Fetched(upload, found, path, sha256, seconds))
    return fetched


def attempt(
    context: Context, source: Fetched, alone: Mapping[Upload, int] | None
) -> Transformed | Rejection:
    """Transform a file. It was counted beforehand, so that one that ends the whole worker is found
    too."""
    upload, target = source.upload, source.path.with_suffix(".out")
    crashes = (alone or {}).get(upload, 0)
    if not quarantine.fits(output_key(context.transform, upload.key)):
        return Rejection("key too long")
    if crashes >= CRASHES:
        return Rejection(f"it ended the worker or its transform {crashes} times, alone")
    try:
        content_type = context.pool.run(source.path, target)
    except InvalidInput as verdict:
        return Rejection(str(verdict))
    except TransformCrashed as crash:
        if alone is None or crashes + 1 < CRASHES:
            raise
        return Rejection(f"its transform crashed {CRASHES} times, alone: {crash}")
    except (UploadDeferred, ServiceUnavailable, PassInterrupted) as error:
        if alone is not None:
            with suppress(ServiceUnavailable):
                context.ledger.uncount_crash(upload)
        if isinstance(error, UploadDeferred):
            raise UploadDeferred(f"{upload.key!r} waits: {error}.") from None
        raise
    if alone is not None:
        # Whatever kills the worker from now on, it was not this file.
        context.ledger.clear_attempts([upload])
    return Transformed(contents_of(target), content_type)


def publish(context: Context, source: Fetched, made: Transformed) -> Result:
    """Put an output under its deterministic key."""
    key, contents = output_key(context.transform, source.upload.key), made.contents
    hashes = {"sha256": contents.sha256, "input-sha256": source.sha256}
    context.store.put(context.buckets.output, key, contents, made.content_type, hashes)
    done = (key, contents.sha256, contents.size)
    return Result(source.upload, source.sha256, source.found.size, "done", 0, *done)


def seclude(context: Context, source: Fetched, refused: Rejection) -> Result:
    """Put a file into quarantine, with a note that says why."""
    upload, bucket, reason = source.upload, context.buckets.quarantine, refused.reason
    key = quarantine.key(upload, source.sha256)
    # Not its own content type: nothing shall open what no transform could read.
    file = contents_of(source.path)
    context.store.put(bucket, key, file, "application/octet-stream", {"sha256": file.sha256})
    note = source.path.with_suffix(".json")
    note.write_bytes(quarantine.note(upload, source.sha256, reason, context.machine))
    file = contents_of(note)
    context.store.put(bucket, quarantine.note_key(key), file, "application/json", {})
    return Result(upload, source.sha256, source.found.size, "quarantined", 0, reason=reason)


def settle(context: Context, held: list[tuple[Fetched, Result]], outcome: Outcome) -> None:
    """Write the rows of uploads whose outputs are there, then delete the uploads."""
    results = [result for _, result in held]
    context.ledger.record(results)
    outcome.results.extend(results)
    missed, troubles = remove(context.store, {one.upload: one.found for one, _ in held})
    outcome.missed.extend(missed)
    for upload, error in troubles.items():
        outcome.trouble(upload, error)


def remove(
    store: Store, uploads: Mapping[Upload, Found]
) -> tuple[list[Upload], dict[Upload, UploadDeferred]]:
    """Delete exactly these from the input bucket.

    A version goes by its id, and many in one request. Where an id does not pin the bytes, HEAD must
    show the very object that was found, and DELETE follows at once, with If-Match: a store that
    honours it has no window at all, one that ignores it has the round trip between the two, in
    which a newer upload would be lost. A request for many has no such condition, so each of these
    goes by itself.

    Args:
        store: Where the input bucket is.
        uploads: The uploads and what GET found of each. A listing is not enough: rclone's may carry
            another Last-Modified than GET and HEAD do, and the same bytes may have been put again
            after it.

    Returns:
        The uploads that were not there any more, and those that are still there, with the reasons.
    """
    missed, troubles = [], {}
    pinned = [upload for upload in uploads if upload.pinned]
    versions = {(upload.key, upload.version_id): upload for upload in pinned}
    if pinned:
        left = store.delete_versions(pinned[0].bucket, list(versions))
        troubles = {versions[version]: error for version, error in left.items()}
    for upload, found in uploads.items():
        if upload.pinned:
            continue
        try:
            now = store.head(upload.bucket, upload.key, upload.version_id)
            if now.same(found):
                store.delete_if(upload.bucket, upload.key, upload.version_id, upload.etag)
            else:
                missed.append(upload)
        except ObjectMissing:
            missed.append(upload)
        except UploadDeferred as error:
            troubles[upload] = error
    return missed, troubles
