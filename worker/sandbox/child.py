"""The process that runs transforms: one JSON job per input line, one JSON response per job.

`python -m worker.sandbox.child TRANSFORM MEMORY_MB CPU_SECONDS PARENT_PID`, started by pool.py. It
is the only part of a pass that imports a transform.
"""

import errno
import json
import os
import sys
from pathlib import Path

from worker.errors import InvalidInput, UploadDeferred
from worker.sandbox.confinement import confine, limit_cpu
from worker.transforms import Transform, load

# Errors that the machine causes; any other error of a decoder concerns the file.
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
    """Run jobs until standard input ends; it ends with the parent."""
    name, memory_mb, cpu_seconds, parent = sys.argv[1:]
    transform = load(name)
    responses = os.fdopen(os.dup(1), "w", buffering=1)
    _discard_output()
    unenforced = confine(int(memory_mb) * 2**20, int(parent))
    print(json.dumps({"ready": unenforced}), file=responses)
    for line in sys.stdin:
        limit_cpu(int(cpu_seconds))
        print(json.dumps(_run(transform, json.loads(line))), file=responses)


def _run(transform: Transform, job: dict[str, object]) -> dict[str, str]:
    source, target = Path(str(job["source"])), Path(str(job["target"]))
    try:
        parameters = {"pixels": int(str(job["pixels"]))}
        return {"content_type": transform.apply(source, target, parameters)}
    except Exception as error:  # noqa: BLE001  a decoder may raise anything for a bad file
        return _failure(error, target)


def _failure(error: Exception, target: Path) -> dict[str, str]:
    """Return whether the file, the machine or the limits are to blame, and the reason."""
    if isinstance(error, UploadDeferred):
        return {"deferred": str(error)}
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return {"memory": "it needs more memory than limits.memory_mb"}
    if number == errno.EFBIG:
        return {"invalid": "its result is larger than 5 GiB, the limit of a single PUT"}
    if number in _ENVIRONMENT_ERRORS:
        return {"environment": f"{os.strerror(number)} in {target.parent}"}
    known = isinstance(error, InvalidInput)
    return {"invalid": str(error) if known else f"{type(error).__name__}: {error}"}


def _discard_output() -> None:
    """Keep what C libraries print out of the responses and the journal."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


if __name__ == "__main__":
    main()
