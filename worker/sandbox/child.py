"""The process that runs transforms: one JSON job per input line, one JSON response per job.

`python -m worker.sandbox.child TRANSFORM MEMORY_MB CPU_SECONDS PARENT_PID INPUT`, started by
pool.py in the folder for results. The first line of its input has the transform's parameters, which
may be secret. No other process of a pass imports a transform.
"""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

from worker.errors import InvalidInput, UploadDeferred
from worker.sandbox import response
from worker.sandbox.confinement import confine, limit_cpu
from worker.transforms import Input, Produced, Transform, find, load
from worker.transforms.parameters import read

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


def main() -> None:
    """Run jobs until standard input ends, as it does when the parent ends."""
    name, memory_mb, cpu_seconds, parent, source = sys.argv[1:]
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        sys.exit(1)  # the parent died before PR_SET_PDEATHSIG
    first = json.loads(line)
    parameters = read(find(name).parameters_type, first["parameters"])
    transform = load(name)
    responses = os.fdopen(os.dup(1), "w", buffering=1)
    _discard_output()
    path = Path(source)
    unenforced = confine(int(memory_mb) * 2**20, int(parent), readable=path.parent)
    print(json.dumps({"ready": unenforced}), file=responses)
    for line in sys.stdin:
        limit_cpu(int(cpu_seconds))
        one = Input(path, json.loads(line)["name"], first["max_pixels"])
        print(json.dumps(_run(transform, one, parameters)), file=responses)


def _run(transform: Transform, source: Input, parameters: Any) -> dict[str, object]:
    folder = Path.cwd()
    try:
        return _describe(transform.apply([source], folder, parameters), folder)
    except Exception as error:  # noqa: BLE001  a decoder may raise anything for a bad file
        kind, reason = _failure(error, folder)
        return {kind: response.printable(reason)}


def _describe(produced: Produced, folder: Path) -> dict[str, object]:
    """Describe what a transform made; its records go into a file."""
    if len(produced.files) > response.MAX_FILES:
        raise InvalidInput(f"it has more than {response.MAX_FILES} results")
    if len(produced.records) > response.MAX_RECORDS:
        raise InvalidInput(f"it has more than {response.MAX_RECORDS} records")
    for _, content_type in produced.files:
        if not response.is_content_type(content_type):
            text = response.printable(content_type)[:100]
            raise InvalidInput(
                f"its result's content type {text!r} is not of the form type/subtype"
            )
    if produced.records:
        lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in produced.records)
        if len(lines) > response.MAX_RECORD_BYTES:
            raise InvalidInput(f"its records exceed {response.MAX_RECORD_BYTES >> 20} MiB")
        (folder / response.RECORDS).write_text(lines)
    files = [[path.name, content_type] for path, content_type in produced.files]
    return {
        "files": files,
        "records": len(produced.records),
        "notes": [response.printable(note) for note in produced.notes[: response.MAX_NOTES]],
    }


def _failure(error: Exception, folder: Path) -> tuple[str, str]:
    """Return the kind of a failure (see response.py) and its reason."""
    if isinstance(error, UploadDeferred):
        return "deferred", str(error)
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return "memory", "it needs more memory than limits.memory_mb"
    if number == errno.EFBIG:
        return "invalid", "its result is larger than 5 GiB, the limit of a single PUT"
    if number in _ENVIRONMENT_ERRORS:
        return "environment", f"{os.strerror(number)} in {folder}"
    known = isinstance(error, InvalidInput)
    return "invalid", str(error) if known else f"{type(error).__name__}: {error}"


def _discard_output() -> None:
    """Discard what C libraries print, which would mix with the responses and fill the journal."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


if __name__ == "__main__":
    main()
