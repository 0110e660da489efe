"""What must be true after faults: each upload became exactly one job, and nothing else is there.

The oracle knows what users uploaded, replaced and deleted, and what each pipeline makes of a
content. It compares that with rows and objects as they are after a clean pass.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from worker.jobs.quarantine import note_key, storage_key

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
    """

    input: str
    output: str
    rejection: Callable[[bytes], str | None]
    is_made_of: Callable[[Sequence[bytes], bytes], bool]
    readers: Mapping[str, str] = field(default_factory=dict)
    keeps_inputs: bool = False
    result_count: int = 1


@dataclass(frozen=True)
class Upload:
    """An upload.

    Attributes:
        pipeline: The pipeline that reads it.
        key: Its object key.
        version_id: "" where the bucket has no versions.
        content: Its bytes.
        is_certain: False if the user replaced or deleted it before it was certainly processed: it
            may have a job, or none.
        parent: The job that made it, and the result's number, if it is a copy of a result.
    """

    pipeline: str
    key: str
    version_id: str
    content: bytes
    is_certain: bool = True
    parent: tuple[str, int] | None = None


class Uploads:
    """What users did, in order."""

    def __init__(self) -> None:
        self._uploads: list[Upload] = []

    def __iter__(self) -> Iterator[Upload]:
        return iter(self._uploads)

    def put(self, pipeline: str, key: str, content: bytes, version_id: str = "") -> None:
        """Note an upload; in a bucket without versions it replaces the one before."""
        if not version_id:
            self.delete(pipeline, key)
        self._uploads.append(Upload(pipeline, key, version_id, content))

    def delete(self, pipeline: str, key: str) -> None:
        """Note that a key was deleted, with all that is older."""
        self._uploads = [
            replace(one, is_certain=False) if (one.pipeline, one.key) == (pipeline, key) else one
            for one in self._uploads
        ]


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
    """A row of `results`."""

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


class Evidence(Protocol):
    """What rows and buckets hold."""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows of `results`."""

    @property
    def leftovers(self) -> Mapping[str, int]:
        """Numbers of rows that must not remain, by table: attempts, leases, prepared results."""

    def keys(self, bucket: str) -> Sequence[str]:
        """Return the keys of a bucket, each as often as it has versions or delete markers."""

    def content(self, bucket: str, key: str, version_id: str = "") -> bytes | None:
        """Return an object, None if it is missing."""


@dataclass(frozen=True)
class Oracle:
    """Judges what is left.

    Attributes:
        pipelines: The rules by name, each before its readers.
        quarantine: The quarantine bucket.
        archive: The bucket of kept inputs.
    """

    pipelines: Mapping[str, Rules]
    quarantine: str
    archive: str = ""

    def problems(self, uploads: Sequence[Upload], evidence: Evidence) -> list[str]:
        """Return everything that is not as it must be, one sentence each."""
        return list(_Judgement(self, evidence).problems(uploads))


class _Judgement:
    def __init__(self, oracle: Oracle, evidence: Evidence) -> None:
        self._oracle, self._evidence = oracle, evidence
        self._retries = {row.retry_of: row for row in evidence.rows if row.retry_of}
        self._kept: dict[str, dict[str, bytes]] = defaultdict(dict)  # bucket -> key -> content
        self._reasons: dict[str, str | None] = {}  # by the key in quarantine
        self._newest: dict[tuple[str, str], str] = {}  # SHA-256 of the result that must be there
        self._uncertain: set[bytes] = set()

    def problems(self, uploads: Sequence[Upload]) -> Iterator[str]:
        for name, count in self._evidence.leftovers.items():
            if count:
                yield f"{count} rows are left in {name}."
        pending = list(uploads)
        for name, rules in self._oracle.pipelines.items():
            if left := self._evidence.keys(rules.input):
                yield f"{name}: {sorted(left)} are left in the input bucket."
            own = [one for one in pending if one.pipeline == name]
            pairs, found = self._pairs(name, own)
            yield from found
            for upload, row in pairs:
                last = self._last(row)
                yield from self._judge(rules, upload, last)
                pending += self._copies(rules, last)
        yield from self._compare_results()
        yield from self._compare_kept()

    def _pairs(
        self, name: str, uploads: Sequence[Upload]
    ) -> tuple[list[tuple[Upload, Row]], list[str]]:
        """Return the uploads of a pipeline with their jobs, and the problems."""
        rows: dict[object, list[Row]] = defaultdict(list)
        for row in self._evidence.rows:
            if row.pipeline == name and row.retry_of is None:
                rows[row.parent or (row.key, row.version_id or row.input_sha256)].append(row)
        pairs: list[tuple[Upload, Row]] = []
        problems = []
        by_identity: dict[object, list[Upload]] = defaultdict(list)
        for one in uploads:
            own = (one.key, one.version_id or sha256(one.content))
            by_identity[one.parent or own].append(one)
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
            self._uncertain.update(one.content for one in same[len(found) :])
        rest = (row for many in rows.values() for row in many)
        problems += [f"{name}: a job for no upload: {row}." for row in rest]
        order = {id(one): number for number, one in enumerate(uploads)}
        return sorted(pairs, key=lambda pair: order[id(pair[0])]), problems

    def _last(self, row: Row) -> Row:
        while row.job_id in self._retries:
            row = self._retries[row.job_id]
        return row

    def _copies(self, rules: Rules, row: Row) -> list[Upload]:
        if row.outcome != _DONE:
            return []
        return [
            Upload(
                reader,
                prefix + one.key,
                "",
                self._evidence.content(one.bucket, one.key, one.version_id) or b"",
                parent=(row.job_id, one.number),
            )
            for reader, prefix in rules.readers.items()
            for one in row.results
        ]

    def _judge(self, rules: Rules, upload: Upload, row: Row) -> Iterator[str]:
        where, digest = f"{upload.pipeline}: {upload.key!r}", sha256(upload.content)
        if row.input_sha256 != digest:
            yield f"{where} has a job on other bytes."
        stored = storage_key(upload.pipeline, upload.key, digest)
        reason = rules.rejection(upload.content)
        if row.outcome == _DONE:
            if reason is not None:
                yield f"{where} is done, not quarantined ({reason})."
            yield from self._judge_results(rules, upload, row)
            if rules.keeps_inputs:
                self._kept[self._oracle.archive][stored] = upload.content
        elif row.outcome in (_QUARANTINED, _DROPPED):
            if reason is None or not re.search(reason, row.reason or ""):
                yield f"{where} is {row.outcome}: {row.reason!r}, expected {reason!r}."
            if row.outcome == _QUARANTINED:
                self._kept[self._oracle.quarantine][stored] = upload.content
                self._reasons[stored] = row.reason
        else:
            yield f"{where} is {row.outcome!r}."

    def _judge_results(self, rules: Rules, upload: Upload, row: Row) -> Iterator[str]:
        where = f"{upload.pipeline}: {upload.key!r}"
        if [one.number for one in row.results] != list(range(1, rules.result_count + 1)):
            yield f"{where} has {len(row.results)} results, not {rules.result_count}."
        contents = []
        for one in row.results:
            self._newest[one.bucket, one.key] = one.sha256
            content = self._evidence.content(one.bucket, one.key, one.version_id)
            if content is not None and (one.version_id or sha256(content) == one.sha256):
                contents.append(content)
                if sha256(content) != one.sha256:
                    yield f"{where}: its result {one.key!r} has other bytes than its row says."
            elif one.version_id:
                yield f"{where}: its result {one.key!r}, version {one.version_id}, is missing."
        if len(contents) == len(row.results) and not rules.is_made_of(contents, upload.content):
            yield f"{where} has wrong results."

    def _compare_results(self) -> Iterator[str]:
        for (bucket, key), digest in self._newest.items():
            content = self._evidence.content(bucket, key)
            if content is None or sha256(content) != digest:
                yield f"{bucket}: {key!r} is not the newest upload's result."
        if self._uncertain:
            return  # a job that was not finished may have stored results
        for rules in self._oracle.pipelines.values():
            more = set(self._evidence.keys(rules.output))
            more -= {key for bucket, key in self._newest if bucket == rules.output}
            if more:
                yield f"{rules.output}: {sorted(more)} belong to no job."

    def _compare_kept(self) -> Iterator[str]:
        for bucket in filter(None, (self._oracle.quarantine, self._oracle.archive)):
            kept = self._kept[bucket]
            notes = {note_key(key): key for key in kept if key in self._reasons}
            for key, content in kept.items():
                if self._evidence.content(bucket, key) != content:
                    yield f"{bucket}: {key!r} does not hold the upload."
            for name, key in notes.items():
                note = self._evidence.content(bucket, name)
                if note is None or json.loads(note)["reason"] != self._reasons[key]:
                    yield f"{bucket}: {name!r} has another reason than the row: {note!r}."
            found = Counter(self._evidence.keys(bucket))
            for key in found:
                stored = self._evidence.content(bucket, key.removesuffix(note_key("")))
                if (
                    key not in kept
                    and key not in notes
                    and not key.startswith(_PACKAGES)
                    and stored not in self._uncertain
                ):
                    yield f"{bucket}: {key!r} belongs to no job."
