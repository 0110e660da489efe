"""What is done for uploads, in the one order that loses and doubles nothing when killed anywhere:
output, then row, then delete.

Every delete of an input object or version is issued from here, and from nowhere else.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from worker import quarantine
from worker.errors import Crash, Gone, Left, Obstacle, Stopped, Verdict
from worker.ledger import Ledger, Result
from worker.sandbox import Pool
from worker.settings import StoreSettings
from worker.store import Contents, Store, contents_of
from worker.transforms import TransformModule
from worker.upload import Upload, whole_seconds

CRASHES = 3  # alone; then the file is quarantined


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

    upload: Upload
    path: Path
    sha256: str
    size: int
    since: float  # time.monotonic()


@dataclass(frozen=True)
class Made:
    """The transform's result, on this machine."""

    source: Fetched
    contents: Contents
    content_type: str


@dataclass(frozen=True)
class Refused:
    """A file that belongs in quarantine, and why."""

    source: Fetched
    reason: str


def step(
    tools: Tools, uploads: list[Upload], alone: Mapping[Upload, int] | None = None
) -> tuple[list[Result], list[Upload]]:
    """Bring uploads to their end; return their results, and what was no longer there.

    `alone` is given where nothing else runs meanwhile, with the crashes counted so far.
    """
    with TemporaryDirectory(dir=tools.folder) as scratch:
        fetched, gone = fetch(tools.store, uploads, Path(scratch))
        attempts = [attempt(tools, one, alone) for one in fetched]
        try:
            results = publish(tools, [one for one in attempts if isinstance(one, Made)])
            results += seclude(tools, [one for one in attempts if isinstance(one, Refused)])
            tools.ledger.record(results)
        except (Left, Obstacle):
            if alone is None:  # alone, whatever counts against a file shall stay counted
                with suppress(Obstacle):
                    for one in attempts:
                        tools.ledger.forget(one.source.upload)
            raise
    return results, gone + remove(tools.store, [result.upload for result in results])


def fetch(store: Store, uploads: list[Upload], folder: Path) -> tuple[list[Fetched], list[Upload]]:
    """Download exactly what was listed; uploads that are no longer there come back second.

    Where no id pins the bytes, the upload is known from here on by the time that GET tells:
    HEAD will tell the same, while a listing may not (rclone lists when a PUT ended, GET tells
    when it began), and the same bytes may have been put again meanwhile.
    """
    fetched, gone = [], []
    for number, upload in enumerate(uploads):
        since, path = time.monotonic(), folder / f"{number}.in"
        try:
            found, sha256 = store.get(
                upload.bucket, upload.key, upload.version_id, upload.etag, path
            )
        except Gone:
            gone.append(upload)
            continue
        if upload.pinned:
            fetched.append(Fetched(upload, path, sha256, found.size, since))
        elif found.etag == upload.etag:
            read = replace(upload, last_modified=whole_seconds(found.last_modified))
            fetched.append(Fetched(read, path, sha256, found.size, since))
        else:
            gone.append(upload)
    return fetched, gone


def attempt(tools: Tools, source: Fetched, alone: Mapping[Upload, int] | None) -> Made | Refused:
    """Transform a file, counted beforehand, so that one that ends the whole worker is found too."""
    upload, target = source.upload, source.path.with_suffix(".out")
    crashes = (alone or {}).get(upload, 0)
    if not quarantine.fits(tools.transform.output_key(upload.key)):
        return Refused(source, "key too long")
    if crashes >= CRASHES:
        return Refused(source, f"it ended the worker or its transform {crashes} times, alone")
    tools.ledger.begin(upload, alone is not None)
    try:
        content_type = tools.pool.run(source.path, target)
    except Verdict as verdict:
        return Refused(source, str(verdict))
    except Crash as crash:
        if alone is None or crashes + 1 < CRASHES:
            raise
        return Refused(source, f"its transform crashed {CRASHES} times, alone: {crash}")
    except (Obstacle, Stopped):
        with suppress(Obstacle):
            (tools.ledger.forget if alone is None else tools.ledger.uncount)(upload)
        raise
    if alone is not None:
        tools.ledger.forget(upload)  # whatever ends us from now on, it was not this file
    return Made(source, contents_of(target), content_type)


def publish(tools: Tools, made: list[Made]) -> list[Result]:
    """Put outputs under their deterministic keys."""
    results = []
    for one in made:
        source, key = one.source, tools.transform.output_key(one.source.upload.key)
        hashes = {"sha256": one.contents.sha256, "input-sha256": source.sha256}
        tools.store.put(tools.buckets.output, key, one.contents, one.content_type, hashes)
        results.append(
            Result(
                source.upload,
                source.sha256,
                source.size,
                "done",
                round(time.monotonic() - source.since, 3),
                key,
                one.contents.sha256,
                one.contents.size,
            )
        )
    return results


def seclude(tools: Tools, refused: list[Refused]) -> list[Result]:
    """Put files into quarantine, each with a note that says why."""
    results = []
    for one in refused:
        source, upload = one.source, one.source.upload
        key, bucket = quarantine.key(upload, source.sha256), tools.buckets.quarantine
        # Not its own content type: nothing shall open what no transform could read.
        file = contents_of(source.path)
        tools.store.put(bucket, key, file, "application/octet-stream", {"sha256": file.sha256})
        note = source.path.with_suffix(".json")
        note.write_bytes(quarantine.note(upload, source.sha256, one.reason, tools.machine))
        file = contents_of(note)
        tools.store.put(bucket, quarantine.note_key(key), file, "application/json", {})
        seconds = round(time.monotonic() - source.since, 3)
        results.append(
            Result(upload, source.sha256, source.size, "quarantined", seconds, reason=one.reason)
        )
    return results


def remove(store: Store, uploads: list[Upload]) -> list[Upload]:
    """Delete exactly these from the input bucket; return those that were not there any more.

    A version goes by its id. Where an id does not pin the bytes, HEAD must show this very upload,
    and DELETE follows at once, with If-Match: a store that honours it has no window at all, one
    that ignores it has the round trip between the two, in which a newer upload would be lost.
    """
    missed = []
    for upload in uploads:
        if upload.pinned:
            store.delete_version(upload.bucket, upload.key, upload.version_id)
            continue
        try:
            now = store.head(upload.bucket, upload.key, upload.version_id)
            if upload.same(now.etag, now.last_modified):
                store.delete_if(upload.bucket, upload.key, upload.version_id, upload.etag)
            else:
                missed.append(upload)
        except Gone:
            missed.append(upload)
    return missed
