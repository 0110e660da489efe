"""A pipeline's transform in the process that applies it, and its responses (see response.py)."""

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from worker.errors import InvalidInput, InvalidSettings, ServiceUnavailable, UploadDeferred
from worker.sandbox import response
from worker.sandbox.job_memory import MAX_BYTES, write_results
from worker.sandbox.job_paths import INPUT, without_folder
from worker.transforms import (
    MAX_RECORD_BYTES,
    RECORDS,
    Input,
    Produced,
    Resources,
    find,
    load,
)

# Errors that the machine causes. A decoder's other errors are caused by the file.
_ENVIRONMENT_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.ENOENT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
}


class Application:
    """A transform with the parameters and resources of its pipeline.

    Args:
        name: The transform.
        pipeline: `parameters`, `max_pixels`, `folder`, `files` and `secrets`, as JSON has them.

    Raises:
        InvalidSettings: There is no such transform, or the parameters are not its own.
    """

    def __init__(self, name: str, pipeline: Mapping[str, Any]) -> None:
        self.resources = resources_of(pipeline)
        self._max_pixels: int = pipeline["max_pixels"]
        found = find(name, self.resources.folder)
        self._parameters = found.read(pipeline["parameters"])
        self._transform = load(found)

    def start(self) -> None:
        """Let the transform load what it needs for all files, such as a model."""
        start = getattr(self._transform, "start", None)
        if start:
            start(self._parameters, self.resources)

    def apply(
        self,
        root: Path,
        paths: Sequence[str],
        names: Sequence[str],
        outputs: Path,
        memory: int | None = None,
    ) -> dict[str, object]:
        """Return the response to inputs.

        Args:
            root: The folder of the inputs, in the job's folder.
            paths: Where they are in it; that of one in memory is absolute.
            names: Their names; see `TransformPool.run`.
            outputs: An empty folder for the results.
            memory: `JobMemory.results`, None if there is none.
        """
        inputs = [
            Input(_joined(root, path), name, self._max_pixels, root)
            for path, name in zip(paths, names, strict=True)
        ]
        try:
            made = self._transform.apply(inputs, outputs, self._parameters)
            return _describe(made, outputs, memory)
        except Exception as error:  # noqa: BLE001  a decoder may raise anything for a bad file
            kind, reason = failure(error, outputs)
            if kind == "invalid":  # else an operator needs to know the disk
                reason = without_folder(reason, root.parent)
                for path in filter(os.path.isabs, paths):
                    reason = reason.replace(path, INPUT)
            return {kind: response.printable(reason)}


@lru_cache(maxsize=16)
def _joined(root: Path, path: str) -> Path:
    """Return a path, cached: in a child's folder an only input has the same one for each job."""
    return root / path


def start_failure(name: str, error: Exception) -> str:
    """Return a sentence about a transform that cannot start."""
    if isinstance(error, ServiceUnavailable | InvalidSettings):
        return response.printable(error)
    return response.printable(f"The transform {name} cannot start: {failure(error, Path())[1]}.")


def flush_output() -> None:
    """Write out what the transform has printed; it may have closed or replaced the streams."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()


def resources_of(pipeline: Mapping[str, Any]) -> Resources:
    """Return a pipeline's resources, from JSON."""
    folder, files = pipeline.get("folder"), pipeline.get("files", {})
    secrets = pipeline.get("secrets")
    return Resources(
        folder=Path(folder) if folder else None,
        files={name: Path(path) for name, path in files.items()},
        secrets=Path(secrets) if secrets else None,
    )


def _describe(produced: Produced, folder: Path, memory: int | None) -> dict[str, object]:
    """Describe what a transform made; its records go into a file."""
    results = produced.results
    if len(results) > response.MAX_FILES:
        raise InvalidInput(f"it has more than {response.MAX_FILES} results")
    if len(produced.records) > response.MAX_RECORDS:
        raise InvalidInput(f"it has more than {response.MAX_RECORDS} records")
    for _, content_type in results:
        if not response.is_content_type(content_type):
            text = response.printable(content_type)[:100]
            raise InvalidInput(
                f"its result's content type {text!r} is not of the form type/subtype"
            )
    if produced.records:
        lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in produced.records)
        if len(lines) > MAX_RECORD_BYTES:
            raise InvalidInput(f"its records exceed {MAX_RECORD_BYTES >> 20} MiB")
        (folder / RECORDS).write_text(lines)
    files = [[path.name, content_type] for path, content_type in produced.files]
    found: dict[str, object] = {
        "files": files,
        "records": len(produced.records),
        "notes": [response.printable(note) for note in produced.notes[: response.MAX_NOTES]],
    }
    contents = [content for content, _ in produced.contents]
    if contents and memory is not None and sum(map(len, contents)) <= MAX_BYTES:
        write_results(memory, contents)
        found["contents"] = [[len(content), kind] for content, kind in produced.contents]
        return found
    for number, (content, content_type) in enumerate(produced.contents):
        name = f"content-{number}"
        (folder / name).write_bytes(content)
        files.append([name, content_type])
    return found


def failure(error: Exception, folder: Path) -> tuple[str, str]:
    """Return the kind of a failure (see response.py) and its reason."""
    if isinstance(error, UploadDeferred):
        return "deferred", str(error)
    if isinstance(error, ServiceUnavailable):  # it may be compromised: this concerns its file only
        return "environment", str(error)
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return "memory", "it needs more memory than limits.memory_mb"
    if number == errno.EFBIG:
        return "invalid", "its result is larger than 5 GiB, the limit of a single PUT"
    if number in _ENVIRONMENT_ERRORS:
        return "environment", f"{os.strerror(number)} in {folder}"
    known = isinstance(error, InvalidInput)
    return "invalid", str(error) if known else f"{type(error).__name__}: {error}"
