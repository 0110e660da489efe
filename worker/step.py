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

from worker import quarantine
from worker.confine import LARGEST_FILE
from worker.contents import Contents, contents_of
from worker.errors import Crash, Gone, Left, Obstacle, Stopped, Verdict
from worker.ledger import Ledger, Result
from worker.sandbox import Pool
from worker.settings import StoreSettings
from worker.store import Store
from worker.transforms import TransformModule
from worker.upload import Upload, whole_seconds

CRASHES = 3  # alone; then the file is quarantined
_HOLD_SECONDS = 1  # outputs wait so long for their fellows, to share a row's and a delete's trip


@dataclass(frozen=True)
class Tools:
    """What a step works with."""

    store: Store
    buckets: StoreSettings
    ledger: Ledger
    pool: Pool
    transform: TransformModule
    machine: str
    folder: Path


@dataclass(frozen=True)
class Fetched:
    """An upload's bytes on this machine."""

    listed: Upload
    upload: Upload  # as GET told it
    path: Path
    sha256: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Made:
    """The transform's result, on this machine."""

    contents: Contents
    content_type: str


@dataclass(frozen=True)
class Refused:
    """Why a file belongs in quarantine."""

    reason: str


@dataclass(frozen=True)
class Outcome:
    """How uploads ended."""

    gone: list[Upload] = field(default_factory=list)  # before they were read
    results: list[Result] = field(default_factory=list)  # rows that are written
    missed: list[Upload] = field(default_factory=list)  # of these, what was not there to delete
    troubles: dict[Upload, Left | Crash] = field(default_factory=dict)  # still there, and why

    def trouble(self, upload: Upload, error: Exception) -> None:
        """Note what one upload met: it keeps no other from its end."""
        if not isinstance(error, Left | Crash):
            error = Left(f"{type(error).__name__}: {error}")
        self.troubles[upload] = error


def step(tools: Tools, uploads: list[Upload], alone: Mapping[Upload, int] | None = None) -> Outcome:
    """Bring uploads, each of another key, to their end. Obstacle and Stopped: not all came there.

    `alone` is given where nothing else runs meanwhile, with the crashes counted so far.
    """
    outcome = Outcome()
    with TemporaryDirectory(dir=tools.folder) as scratch:
        fetched = fetch(tools.store, uploads, Path(scratch), outcome)
        tools.ledger.begin([one.upload for one in fetched], alone is not None)
        try:
            _work_off(tools, fetched, alone, outcome)
        except (Obstacle, Stopped):
            if alone is None:  # alone, whatever counts against a file shall stay counted
                _forget(tools, [one for one in fetched if one.listed not in outcome.troubles])
            raise
    return outcome


def _work_off(
    tools: Tools,
    fetched: list[Fetched],
    alone: Mapping[Upload, int] | None,
    outcome: Outcome,
) -> None:
    held: dict[Upload, Result] = {}  # whose outputs are there
    since = time.monotonic()
    for one in fetched:
        start = time.monotonic()
        if held and start - since > _HOLD_SECONDS:
            settle(tools, held, outcome)
            held, since = {}, start
        try:
            made = attempt(tools, one, alone)
            result = (
                publish(tools, one, made) if isinstance(made, Made) else seclude(tools, one, made)
            )
        except (Obstacle, Stopped, OSError):
            raise
        except Exception as error:  # noqa: BLE001  no upload may keep the others from their turn
            outcome.trouble(one.listed, error)
            if alone is None and not isinstance(error, Crash):
                _forget(tools, [one])
            continue
        seconds = round(one.seconds + time.monotonic() - start, 3)
        held[one.listed] = replace(result, seconds=seconds)
    settle(tools, held, outcome)


def _forget(tools: Tools, fetched: list[Fetched]) -> None:
    with suppress(Obstacle):
        tools.ledger.forget([one.upload for one in fetched])


def fetch(store: Store, uploads: list[Upload], folder: Path, outcome: Outcome) -> list[Fetched]:
    """Download exactly what was listed.

    Where no id pins the bytes, the upload is known from here on by the time that GET tells:
    HEAD will tell the same, while a listing may not (rclone lists when a PUT ended, GET tells
    when it began), and the same bytes may have been put again meanwhile.
    """
    fetched = []
    for number, upload in enumerate(uploads):
        start, path, key = time.monotonic(), folder / f"{number}.in", upload.key
        if upload.size > LARGEST_FILE:
            problem = f"{key!r} has {upload.size} bytes, more than a single PUT takes: nothing can"
            outcome.trouble(upload, Left(f"{problem} be made of it, so remove it."))
            continue
        try:
            found, sha256 = store.get(upload.bucket, key, upload.version_id, upload.etag, path)
        except Gone:
            outcome.gone.append(upload)
            continue
        except Left as error:
            outcome.trouble(upload, error)
            continue
        read = upload
        if not upload.pinned:
            if found.etag != upload.etag:
                outcome.gone.append(upload)
                continue
            read = replace(upload, last_modified=whole_seconds(found.last_modified))
        if found.size != upload.size:  # what broke off may not tell: no verdict over a part
            problem = f"The store gave {found.size} of the {upload.size} bytes of {key!r}."
            outcome.trouble(upload, Left(problem))
            continue
        seconds = time.monotonic() - start
        fetched.append(Fetched(upload, read, path, sha256, found.size, seconds))
    return fetched


def attempt(tools: Tools, source: Fetched, alone: Mapping[Upload, int] | None) -> Made | Refused:
    """Transform a file. It was counted beforehand, so that one that ends the whole worker is found
    too."""
    upload, target = source.upload, source.path.with_suffix(".out")
    crashes = (alone or {}).get(upload, 0)
    if not quarantine.fits(tools.transform.output_key(upload.key)):
        return Refused("key too long")
    if crashes >= CRASHES:
        return Refused(f"it ended the worker or its transform {crashes} times, alone")
    try:
        content_type = tools.pool.run(source.path, target)
    except Verdict as verdict:
        return Refused(str(verdict))
    except Crash as crash:
        if alone is None or crashes + 1 < CRASHES:
            raise
        return Refused(f"its transform crashed {CRASHES} times, alone: {crash}")
    except (Obstacle, Stopped):
        if alone is not None:
            with suppress(Obstacle):
                tools.ledger.uncount(upload)
        raise
    if alone is not None:
        tools.ledger.forget([upload])  # whatever ends us from now on, it was not this file
    return Made(contents_of(target), content_type)


def publish(tools: Tools, source: Fetched, made: Made) -> Result:
    """Put an output under its deterministic key."""
    key, contents = tools.transform.output_key(source.upload.key), made.contents
    hashes = {"sha256": contents.sha256, "input-sha256": source.sha256}
    tools.store.put(tools.buckets.output, key, contents, made.content_type, hashes)
    done = (key, contents.sha256, contents.size)
    return Result(source.upload, source.sha256, source.size, "done", 0, *done)


def seclude(tools: Tools, source: Fetched, refused: Refused) -> Result:
    """Put a file into quarantine, with a note that says why."""
    upload, bucket, reason = source.upload, tools.buckets.quarantine, refused.reason
    key = quarantine.key(upload, source.sha256)
    # Not its own content type: nothing shall open what no transform could read.
    file = contents_of(source.path)
    tools.store.put(bucket, key, file, "application/octet-stream", {"sha256": file.sha256})
    note = source.path.with_suffix(".json")
    note.write_bytes(quarantine.note(upload, source.sha256, reason, tools.machine))
    file = contents_of(note)
    tools.store.put(bucket, quarantine.note_key(key), file, "application/json", {})
    return Result(upload, source.sha256, source.size, "quarantined", 0, reason=reason)


def settle(tools: Tools, held: Mapping[Upload, Result], outcome: Outcome) -> None:
    """Write the rows of uploads whose outputs are there, then delete the uploads."""
    tools.ledger.record(list(held.values()))
    outcome.results.extend(held.values())
    listed = {result.upload: upload for upload, result in held.items()}
    missed, troubles = remove(tools.store, list(listed))
    outcome.missed.extend(listed[upload] for upload in missed)
    for upload, error in troubles.items():
        outcome.trouble(listed[upload], error)


def remove(store: Store, uploads: list[Upload]) -> tuple[list[Upload], dict[Upload, Left]]:
    """Delete exactly these from the input bucket; return those that were not there any more, and
    those that are there still.

    A version goes by its id, and many in one request. Where an id does not pin the bytes, HEAD must
    show this very upload, and DELETE follows at once, with If-Match: a store that honours it has no
    window at all, one that ignores it has the round trip between the two, in which a newer upload
    would be lost. A request for many has no such condition, so each of these goes by itself.
    """
    missed, troubles = [], {}
    pinned = [upload for upload in uploads if upload.pinned]
    versions = {(upload.key, upload.version_id): upload for upload in pinned}
    if pinned:
        left = store.delete_versions(pinned[0].bucket, list(versions))
        troubles = {versions[version]: error for version, error in left.items()}
    for upload in uploads:
        if upload.pinned:
            continue
        try:
            now = store.head(upload.bucket, upload.key, upload.version_id)
            if upload.same(now.etag, now.last_modified):
                store.delete_if(upload.bucket, upload.key, upload.version_id, upload.etag)
            else:
                missed.append(upload)
        except Gone:
            missed.append(upload)
        except Left as error:
            troubles[upload] = error
    return missed, troubles
