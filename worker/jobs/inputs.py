"""The files that a job transforms: its upload, or the results of a run that it gathers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from worker.errors import InvalidInput, ObjectMissing, UploadDeferred
from worker.jobs.chain import is_listed
from worker.jobs.context import Context
from worker.jobs.task import Task
from worker.ledger.runs import Gather, RunResult
from worker.store.store import Source, Store
from worker.uploads.job import short_id


@dataclass(frozen=True)
class Inputs:
    """What a transform reads.

    Attributes:
        paths: The files.
        names: What the transform sees as their names.
        content: The bytes of the only file, if they are in memory.
    """

    paths: Sequence[Path]
    names: Sequence[str]
    content: bytes | None = None


def inputs_of(context: Context, task: Task) -> Inputs:
    """Return the files of a job; those that it gathers are downloaded.

    Args:
        context: What all jobs share.
        task: The job; its upload is downloaded.

    Raises:
        InvalidInput: The ledger has no gather for the upload, or a result was deleted or replaced.
        UploadDeferred: A result cannot be downloaded now.
    """  # noqa: DOC502  raised by what it calls
    source = task.source
    if context.upstream is None:
        name = source.upload.key.rpartition("/")[2]
        return Inputs([source.path], [name], source.content)
    if task.gather is None:
        first = " or ".join(context.upstream.first_pipelines)
        raise InvalidInput(
            f"it is not a file that {context.pipeline.name!r} gathers a run from: this pipeline "
            f"reads results only, so upload it to {first}, where its runs begin"
        )
    gather = task.gather
    _reserve(context, gather, source.info.size)
    names = _names(gather, has_several_sources=len(context.pipeline.sources) > 1)
    folder = source.path.with_suffix(".members")
    folder.mkdir()
    paths = [folder / str(number) for number in range(len(names))]
    assert context.requests  # noqa: S101
    downloads = zip(gather.members, paths, strict=True)
    context.requests.make([partial(_download, context.store, *one) for one in downloads])
    return Inputs(paths, names)


def _reserve(context: Context, gather: Gather, size: int) -> None:
    """Check the disk, where the scheduler left space for all members if they fit."""
    space = context.space()
    if excess := space.excess(size, gather.bytes):
        raise InvalidInput(excess)
    needed = space.needed(size, gather.bytes)
    if needed > space.free:
        raise UploadDeferred(
            f"it needs {needed} bytes of disk, for its members and its results, and {space.free} "
            "are free: free space on the machine"
        )


def _names(gather: Gather, *, has_several_sources: bool) -> list[str]:
    members = gather.members
    names = [f"{one.pipeline}/{one.key}" if has_several_sources else one.key for one in members]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        jobs = [short_id(one.job) for one, each in zip(members, names, strict=True) if each == name]
        raise InvalidInput(
            f"{count} members have the key {name!r} (jobs {', '.join(jobs)}): give their pipeline "
            "an outputKey that tells them apart"
        )
    return names


def _download(store: Store, member: RunResult, path: Path) -> None:
    """Download a result, and check that it is the one that was recorded."""
    where = (member.bucket, member.key, member.version_id, member.etag)
    try:
        _, sha256 = store.get(*where, path)
    except ObjectMissing:
        if is_listed(store, Source(*where)):
            raise UploadDeferred(
                f"the store lists its member {member.key!r}, but does not find it"
            ) from None
        sha256 = ""
    if sha256 != member.sha256:
        raise InvalidInput(
            f"its member {member.key!r} of {member.pipeline!r} was deleted or replaced since job "
            f"{short_id(member.job)} stored it"
        )
