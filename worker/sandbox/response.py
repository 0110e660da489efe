"""The response of a transform's process to a file, and the parent's checks of it.

A file may have compromised the process, so nothing in a response is trusted unchecked.
"""

import json
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from worker.errors import InvalidInput, TransformCrashed, UploadDeferred
from worker.sandbox.job_memory import JobMemory
from worker.transforms import MAX_RECORD_BYTES, RECORDS, Produced

#: The most results, notes and records of one file.
MAX_FILES = 1000
MAX_NOTES = 100
MAX_RECORDS = 100_000
#: The reason if the process broke the protocol.
INVALID = "its process sent an invalid response"
_MAX_TEXT = 1000
_MAX_LEVELS = 50  # of lists and objects inside a record
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_CONTENT_TYPE = re.compile(f"{_NAME}/{_NAME}")
#: A response has either one of these keys, with the reason, or all those of a result.
_FAILURES = frozenset({"invalid", "deferred", "memory", "environment"})
_RESULT = frozenset({"files", "records", "notes"})
_IN_MEMORY = "contents"


class Failure(NamedTuple):
    """Why there is no result.

    Attributes:
        kind: "invalid" (the file), "deferred" and "environment" (the machine), or "memory".
        reason: A phrase.
    """

    kind: str
    reason: str

    def error(self, log: str) -> UploadDeferred | InvalidInput:
        """Return the error of a pool that has no result.

        Args:
            log: The end of what the transform printed.
        """
        if self.kind in ("environment", "deferred"):
            return UploadDeferred(self.reason)
        return InvalidInput(self.reason, log)


def failure(response: Mapping[str, Any]) -> Failure | None:
    """Return the failure that a response reports, None if it is a result.

    Raises:
        TransformCrashed: It is neither.
    """
    if response.keys() - {_IN_MEMORY} == _RESULT:
        return None
    if len(response) != 1 or not _FAILURES.issuperset(response):
        raise TransformCrashed(INVALID)
    ((kind, reason),) = response.items()
    return Failure(kind, printable(reason))


def collect(
    response: Mapping[str, Any], folder: Path, source: Path, memory: JobMemory | None = None
) -> Produced:
    """Move the results out of the process's folder, and copy those in memory.

    Args:
        response: A result; see `failure`.
        folder: The folder that the process writes to; it is emptied.
        source: The input, in a folder that the process cannot reach.
        memory: What the process shares; None if nothing.

    Returns:
        What was made; its files are beside the source (see `TransformPool.run`).

    Raises:
        TransformCrashed: The response names files that do not exist, or exceeds a limit.
    """
    try:
        files = [
            (_take(folder, name, source.with_suffix(f".{number}")), _content_type(content_type))
            for number, (name, content_type) in enumerate(response["files"])
        ]
        contents = _contents(response.get(_IN_MEMORY, ()), memory)
        records = _records(folder, source.with_suffix(".jsonl")) if response["records"] else []
        notes = [printable(note) for note in response["notes"]]
        is_allowed = len(files) + len(contents) <= MAX_FILES and len(notes) <= MAX_NOTES
        if not is_allowed or len(records) != response["records"]:
            raise TransformCrashed(INVALID)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise TransformCrashed(INVALID) from error
    empty(folder)
    return Produced(files, records, notes, contents=contents)


def empty(folder: Path) -> None:
    """Delete the files that a transform left in its folder.

    Raises:
        TransformCrashed: It contains something else, which a confined transform cannot create.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                Path(entry.path).unlink()
    except OSError as error:
        raise TransformCrashed(INVALID) from error


def printable(text: object) -> str:
    """Return a text of bounded length without control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text)[:_MAX_TEXT])


def plain_name(name: object) -> str:
    """Return the name of a result.

    Raises:
        ValueError: It is no file name, or could lead to another folder.
    """
    if not isinstance(name, str) or name != os.path.basename(name) or name in ("", ".", ".."):  # noqa: PTH119
        raise ValueError(name)
    return name


def is_content_type(text: object) -> TypeGuard[str]:
    """Return whether a text is a media type without parameters, `type/subtype` (RFC 6838, 4.2).

    It becomes a signed header: a line break would add another header, and characters that clients,
    proxies and stores encode differently would invalidate the signature.
    """
    return isinstance(text, str) and bool(_CONTENT_TYPE.fullmatch(text))


def _take(folder: Path, name: str, target: Path) -> Path:
    if plain_name(name) == RECORDS:
        raise ValueError(name)
    # Examined after the move: the process could replace it before.
    os.rename(f"{folder}/{name}", target)  # noqa: PTH104  pathlib takes five times as long
    return _readable(target)


def _contents(described: Sequence[Any], memory: JobMemory | None) -> list[tuple[bytes, str]]:
    if not described:
        return []
    sizes, types = zip(*described, strict=True)
    if not memory or len(sizes) > MAX_FILES:
        raise ValueError(described)
    return list(zip(memory.take(sizes), map(_content_type, types), strict=True))


def _readable(path: Path) -> Path:
    """Check that a moved result is a file, and let the worker read it."""
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(path)
    if not mode & stat.S_IRUSR:
        path.chmod(0o600)
    return path


def _content_type(text: object) -> str:
    if not is_content_type(text):
        raise ValueError(text)
    return text


def _records(folder: Path, target: Path) -> list[dict[str, object]]:
    path = _readable((folder / RECORDS).rename(target))
    with path.open("rb") as file:
        text = file.read(MAX_RECORD_BYTES + 1)
    path.unlink()
    lines = text.splitlines()
    if len(text) > MAX_RECORD_BYTES or len(lines) > MAX_RECORDS:
        raise ValueError(RECORDS)
    records = [json.loads(line) for line in lines]
    are_objects = all(isinstance(record, dict) for record in records)
    if not are_objects or not _is_storable(records, _MAX_LEVELS):
        raise ValueError(RECORDS)
    return records


def _is_storable(value: object, levels: int) -> bool:
    """Return whether a database accepts JSON: no NaN or infinity, and not nested too deeply."""
    if isinstance(value, float):
        return math.isfinite(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_storable(one, levels - 1) for one in inner)
