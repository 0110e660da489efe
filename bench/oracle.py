"""What must be true after faults: each upload became exactly one job, and nothing else is there.

The oracle knows what users uploaded, replaced and deleted, and what each pipeline makes of a
content. It compares that with rows and objects as they are after a clean pass.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from worker.jobs.quarantine import note_key, storage_key
from worker.ledger.runs import gather_id, manifest_key

_DONE, _QUARANTINED, _DROPPED = "done", "quarantined", "dropped"
_PACKAGES = ".image-pipeline/"  # the worker's package, in the quarantine bucket


def sha256(content: bytes) -> str:
    """Return the hash in hex."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Rules:
    """What a pipeline does, as the oracle expects it.

    Attributes:
        input: Its input bucket.
        output: Its output bucket.
        rejection: Returns a pattern of the true reason to quarantine a content, None for a good
            one.
        is_made_of: Returns whether results (first) were made from a content.
        readers: The pipelines that read its results, and what precedes the keys of their copies.
        keeps_inputs: Whether inputs are kept in the archive.
        result_count: How many results a good content has.
        gathers: The pipelines whose results it gathers, run by run: it is made of their contents,
            joined by "+" in the order of these pipelines, keys and numbers.
    """

    input: str
    output: str
    rejection: Callable[[bytes], str | None]
    is_made_of: Callable[[Sequence[bytes], bytes], bool]
    readers: Mapping[str, str] = field(default_factory=dict)
    keeps_inputs: bool = False
    result_count: int = 1
    gathers: Sequence[str] = ()


@dataclass(frozen=True)
class Upload:
    """An upload.

    Attributes:
        pipeline: The pipeline that reads it.
        key: Its object key.
        version_id: "" where the bucket has no versions.
        content: Its bytes; None for a copy of a result that was replaced since.
        is_certain: False if the user replaced or deleted it before it was certainly processed: it
            may have a job, or none.
        parent: The job that made it, and the result's number, if it is a copy of a result.
        known_sha256: Of a copy, as the row of the result says.
        members: The results of a run, if it is the file that names them.
    """

    pipeline: str
    key: str
    version_id: str
    content: bytes | None
    is_certain: bool = True
    parent: tuple[str, int] | None = None
    known_sha256: str = ""
    members: "Sequence[StoredResult] | None" = None

    @property
    def sha256(self) -> str:
        """The hash of its bytes in hex."""
        return self.known_sha256 or sha256(self.content or b"")

    @property
    def identity(self) -> object:
        """What identifies its job."""
        return self.parent or (self.key, self.version_id or self.sha256)


class Uploads:
    """What users did, in order."""

    def __init__(self) -> None:
        self._uploads: list[Upload] = []
        self._covered: set[tuple[str, str]] = set()

    def __iter__(self) -> Iterator[Upload]:
        return iter(self._uploads)

    def put(self, pipeline: str, key: str, content: bytes, version_id: str = "") -> None:
        """Note an upload; in a bucket without versions it replaces the one before."""
        if not version_id:
            self.delete(pipeline, key)
        self._uploads.append(Upload(pipeline, key, version_id, content))

    def delete(self, pipeline: str, key: str) -> None:
        """Note that a key was deleted, with all that is older."""
        self._covered.add((pipeline, key))
        self._uploads = [
            replace(one, is_certain=False) if (one.pipeline, one.key) == (pipeline, key) else one
            for one in self._uploads
        ]

    def covers(self, pipeline: str, key: str) -> bool:
        """Return whether users deleted or replaced what was there under a key."""
        return (pipeline, key) in self._covered


@dataclass(frozen=True)
class StoredResult:
    """A row of `outputs`."""

    number: int
    bucket: str
    key: str
    version_id: str
    sha256: str


@dataclass(frozen=True)
class Row:
    """A row of `results`; not written yet if only the results are stored."""

    pipeline: str
    job_id: str
    key: str
    version_id: str
    input_sha256: str
    outcome: str
    reason: str | None = None
    parent: tuple[str, int] | None = None
    retry_of: str | None = None
    results: Sequence[StoredResult] = ()
    run_id: str = ""
    is_written: bool = True

    @property
    def identity(self) -> object:
        """The identity of its upload, unless it repeats another job."""
        return self.parent or (self.key, self.version_id or self.input_sha256)


class Evidence(Protocol):
    """The contents of the database and the buckets."""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows of `results`."""

    @property
    def prepared(self) -> Sequence[Row]:
        """Rows that are not written yet; readers may have copies of their results."""

    @property
    def leftovers(self) -> Mapping[str, int]:
        """Numbers of rows that must not remain, by table: attempts, prepared results."""

    def keys(self, bucket: str) -> Sequence[str]:
        """Return the keys of a bucket, each as often as it has versions or delete markers."""

    def content(self, bucket: str, key: str, version_id: str = "") -> bytes | None:
        """Return an object, None if it is missing."""

    def versions(self, bucket: str) -> Collection[tuple[str, str]]:
        """Return key and version id of each object, nothing if the bucket has no versions."""


@dataclass(frozen=True)
class Oracle:
    """Compares what users did with what is in the stack.

    Attributes:
        pipelines: The rules by name, each before its readers.
        quarantine: The quarantine bucket.
        archive: The bucket of kept inputs.
        may_lose_leases: Whether workers lost leases: without versions, such a worker may have
            replaced the result that counts by another of the same upload (docs/reliability.md).
    """

    pipelines: Mapping[str, Rules]
    quarantine: str
    archive: str = ""
    may_lose_leases: bool = False

    def problems(self, uploads: Uploads, evidence: Evidence) -> list[str]:
        """Return all deviations, one sentence each."""
        return list(_Comparison(self, uploads, evidence).problems())


class _Comparison:
    def __init__(self, oracle: Oracle, uploads: Uploads, evidence: Evidence) -> None:
        self._oracle, self._uploads, self._evidence = oracle, uploads, evidence
        self._retries = {row.retry_of: row for row in evidence.rows if row.retry_of}
        # By bucket and key: the content, None if it is not known.
        self._kept: dict[str, dict[str, bytes | None]] = defaultdict(dict)
        self._reasons: dict[str, str | None] = {}  # by the key in quarantine
        # By bucket and key: the SHA-256 of results of which one must be there.
        self._newest: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._are_copies: dict[tuple[str, str], bool] = {}  # what a result was made of
        self._mixed: set[tuple[str, str]] = set()
        self._uncertain: set[bytes] = set()

    def problems(self) -> Iterator[str]:
        pending = list(self._uploads)
        for name, rules in self._oracle.pipelines.items():
            if left := self._evidence.keys(rules.input):
                yield f"{name}: {sorted(left)} are left in the input bucket."
            own = [one for one in pending if one.pipeline == name]
            own += self._gathers(name, rules)
            pairs, found = self._pairs(name, own)
            yield from found
            for upload, row in pairs:
                if not row.is_written:
                    copies = self._copies(rules, row)
                    pending += [replace(one, is_certain=False) for one in copies]
                    continue
                last = self._last(row)
                if upload.members is not None:
                    upload = self._with_content(upload, last)  # noqa: PLW2901
                yield from self._check(rules, upload, last)
                pending += self._copies(rules, last)
        yield from self._compare_results()
        yield from self._compare_kept()
        for name, count in self._evidence.leftovers.items():
            if count > len(self._uncertain):
                yield f"{count} rows are left in {name}."

    def _gathers(self, name: str, rules: Rules) -> Iterator[Upload]:
        """Yield the files of runs that have ended upstream of a pipeline, and have results there.

        Whether a run has ended is derived from the rows: all are written, every job is done or
        dropped, and every result has a job in each of its readers.
        """
        if not rules.gathers:
            return
        upstream, pending = set[str](), list(rules.gathers)
        while pending:
            one = pending.pop()
            upstream.add(one)
            pending += [
                source
                for source, each in self._oracle.pipelines.items()
                if one in each.readers or source in self._oracle.pipelines[one].gathers
            ]
        runs: dict[str, list[Row]] = defaultdict(list)
        for row in self._evidence.rows:
            if row.pipeline in upstream and row.job_id not in self._retries:
                runs[row.run_id].append(row)
        has_job = {(row.pipeline, row.parent) for row in self._evidence.rows}
        unfinished = {row.run_id for row in self._evidence.prepared}
        for run, rows in runs.items():
            made = [(row, one) for row in rows if row.outcome == _DONE for one in row.results]
            ended = all(row.outcome in (_DONE, _DROPPED) for row in rows) and all(
                (reader, (row.job_id, result.number)) in has_job
                for row, result in made
                for reader in self._oracle.pipelines[row.pipeline].readers
                if reader in upstream
            )
            members = [
                result
                for source in rules.gathers
                for result in sorted(
                    (result for row, result in made if row.pipeline == source),
                    key=lambda one: (one.key, one.number),
                )
            ]
            if ended and members and run not in unfinished:
                parent = (gather_id(name, run), 1)
                yield Upload(name, manifest_key(run), "", None, parent=parent, members=members)

    def _with_content(self, upload: Upload, row: Row) -> Upload:
        """Return the file of a run with what its job was made of, if that is known.

        Without versions a newer result replaces an older one, which then cannot be gathered.
        """
        contents = [self._result_content(one) for one in upload.members or ()]
        known = [content for content in contents if content is not None]
        content = b"+".join(known) if len(known) == len(contents) else None
        return replace(upload, content=content, known_sha256=row.input_sha256)

    def _pairs(
        self, name: str, uploads: Sequence[Upload]
    ) -> tuple[list[tuple[Upload, Row]], list[str]]:
        """Return the uploads of a pipeline with their jobs, and the problems.

        Users may delete an upload before its job's row is written.
        """
        rows: dict[object, list[Row]] = defaultdict(list)
        for row in self._evidence.rows:
            if row.pipeline == name and row.retry_of is None:
                rows[row.identity].append(row)
        unwritten: dict[object, list[Row]] = defaultdict(list)
        for row in self._evidence.prepared:
            if row.pipeline == name:
                unwritten[row.identity].append(row)
        pairs: list[tuple[Upload, Row]] = []
        problems = []
        by_identity: dict[object, list[Upload]] = defaultdict(list)
        for one in uploads:
            by_identity[one.identity].append(one)
        for identity, same in by_identity.items():
            found = rows.pop(identity, [])
            certain = sum(one.is_certain for one in same)
            if not certain <= len(found) <= len(same):
                problems.append(
                    f"{name}: {len(found)} jobs for the {len(same)} uploads {identity}, "
                    f"{certain} of them certain: {[row.outcome for row in found]}."
                )
            chosen = sorted(same, key=lambda one: not one.is_certain)[: len(found)]
            pairs += zip(chosen, found, strict=False)
            rest = same[len(found) :]
            self._uncertain.update(one.content or b"" for one in rest)
            pairs += zip(rest, unwritten[identity], strict=False)
        others = (row for many in rows.values() for row in many)
        problems += [f"{name}: a job for no upload: {row}." for row in others]
        order = {id(one): number for number, one in enumerate(uploads)}
        return sorted(pairs, key=lambda pair: order[id(pair[0])]), problems

    def _last(self, row: Row) -> Row:
        while row.job_id in self._retries:
            row = self._retries[row.job_id]
        return row

    def _copies(self, rules: Rules, row: Row) -> Iterator[Upload]:
        for one in row.results if row.outcome == _DONE else ():
            content = self._result_content(one)
            for reader, prefix in rules.readers.items():
                key, parent = prefix + one.key, (row.job_id, one.number)
                is_certain = not self._uploads.covers(reader, key)
                yield Upload(reader, key, "", content, is_certain, parent, one.sha256)

    def _result_content(self, result: StoredResult) -> bytes | None:
        """Return the content of a result, None if it was deleted or replaced."""
        content = self._evidence.content(result.bucket, result.key, result.version_id)
        return content if content is not None and sha256(content) == result.sha256 else None

    def _check(self, rules: Rules, upload: Upload, row: Row) -> Iterator[str]:
        where, content = f"{upload.pipeline}: {upload.key!r}", upload.content
        if row.input_sha256 != upload.sha256:
            yield f"{where} has a job on other bytes."
        stored = storage_key(upload.pipeline, upload.key, upload.sha256)
        reason = rules.rejection(content) if content is not None else None
        kept = content if upload.members is None else None  # a run's file itself is not known
        if row.outcome == _DONE:
            if reason is not None:
                yield f"{where} is done, not quarantined ({reason})."
            yield from self._check_results(rules, upload, row)
            if rules.keeps_inputs:
                self._kept[self._oracle.archive][stored] = kept
        elif row.outcome in (_QUARANTINED, _DROPPED):
            if content is not None and not (reason and re.search(reason, row.reason or "")):
                yield f"{where} is {row.outcome}: {row.reason!r}, expected {reason!r}."
            if row.outcome == _QUARANTINED:
                self._kept[self._oracle.quarantine][stored] = kept
                self._reasons[stored] = row.reason
        else:
            yield f"{where} is {row.outcome!r}."

    def _check_results(self, rules: Rules, upload: Upload, row: Row) -> Iterator[str]:
        where = f"{upload.pipeline}: {upload.key!r}"
        if [one.number for one in row.results] != list(range(1, rules.result_count + 1)):
            yield f"{where} has {len(row.results)} results, not {rules.result_count}."
        contents = []
        for one in row.results:
            self._expect(one, is_copy=upload.parent is not None)
            if self._oracle.may_lose_leases and not one.version_id and upload.content is not None:
                self._uncertain.add(upload.content)
            content = self._result_content(one)
            if content is not None:
                contents.append(content)
            elif one.version_id:
                yield f"{where}: its result {one.key!r}, version {one.version_id}, is missing."
        is_known = upload.content is not None and len(contents) == len(row.results)
        if is_known and not rules.is_made_of(contents, upload.content or b""):
            yield f"{where} has wrong results."

    def _expect(self, result: StoredResult, *, is_copy: bool) -> None:
        """Note a result: the last one of a key must be there.

        Whether a user's upload came before a copy of the same key is not known.
        """
        place = (result.bucket, result.key)
        if self._are_copies.setdefault(place, is_copy) == is_copy and place not in self._mixed:
            self._newest[place].clear()
        else:
            self._mixed.add(place)
        self._newest[place].add(result.sha256)

    def _compare_results(self) -> Iterator[str]:
        for (bucket, key), digests in self._newest.items():
            content = self._evidence.content(bucket, key)
            if content is None or not (sha256(content) in digests or self._may_be(bucket, content)):
                yield f"{bucket}: {key!r} is not the newest upload's result."
        named = {
            (one.bucket, one.key, one.version_id)
            for row in self._evidence.rows
            for one in row.results
        }
        for rules in self._oracle.pipelines.values():
            more = set(self._evidence.keys(rules.output))
            more -= {key for bucket, key in self._newest if bucket == rules.output}
            more = {key for key in more if not self._is_unfinished(rules, key)}
            if more:
                yield f"{rules.output}: {sorted(more)} belong to no job."
            left = {
                (key, version_id)
                for key, version_id in self._evidence.versions(rules.output)
                if (rules.output, key, version_id) not in named
                and not self._is_unfinished(rules, key, version_id)
            }
            if left:
                yield f"{rules.output}: the versions {sorted(left)} belong to no job."

    def _is_unfinished(self, rules: Rules, key: str, version_id: str = "") -> bool:
        """Return whether a job that was not finished may have stored a result."""
        content = self._evidence.content(rules.output, key, version_id) if self._uncertain else None
        return content is not None and self._may_be(rules.output, content)

    def _may_be(self, bucket: str, result: bytes) -> bool:
        """Return whether a result may be of an upload that users deleted or replaced meanwhile."""
        return any(
            rules.is_made_of([result], content)
            for rules in self._oracle.pipelines.values()
            if rules.output == bucket
            for content in self._uncertain
        )

    def _compare_kept(self) -> Iterator[str]:
        for bucket in filter(None, (self._oracle.quarantine, self._oracle.archive)):
            kept = self._kept[bucket]
            notes = {note_key(key): key for key in kept if key in self._reasons}
            for key, content in kept.items():
                found = self._evidence.content(bucket, key)
                if found is None or content not in (None, found):
                    yield f"{bucket}: {key!r} does not hold the upload."
            for name, key in notes.items():
                note = self._evidence.content(bucket, name)
                if note is None or json.loads(note)["reason"] != self._reasons[key]:
                    yield f"{bucket}: {name!r} has another reason than the row: {note!r}."
            for key in set(self._evidence.keys(bucket)):
                stored = self._evidence.content(bucket, key.removesuffix(note_key("")))
                if (
                    key not in kept
                    and key not in notes
                    and not key.startswith(_PACKAGES)
                    and stored not in self._uncertain
                ):
                    yield f"{bucket}: {key!r} belongs to no job."
