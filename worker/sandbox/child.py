"""A transform's process: reads jobs from its standard input, answers each with one line.

`python -m worker.sandbox.child TRANSFORM MEMORY_MB CPU_SECONDS PARENT`, started by `sandbox` only.
"""

import errno
import json
import os
import sys
from pathlib import Path

from worker.errors import InvalidInput, UploadDeferred
from worker.sandbox.confinement import confine, limit_cpu
from worker.transforms import Transform, load

# What the file cannot be blamed for; any other error of a decoder is about the file.
_SURROUNDINGS = {
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
    """Serve until standard input ends, as it does when the parent is gone."""
    name, memory_mb, cpu_seconds, parent = sys.argv[1:]
    transform = load(name)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    _silence()
    unenforced = confine(int(memory_mb) * 2**20, int(parent))
    print(json.dumps({"ready": unenforced}), file=answers)
    for line in sys.stdin:
        limit_cpu(int(cpu_seconds))
        print(json.dumps(_answer(transform, json.loads(line))), file=answers)


def _answer(transform: Transform, job: dict[str, object]) -> dict[str, str]:
    source, target = Path(str(job["source"])), Path(str(job["target"]))
    try:
        parameters = {"pixels": int(str(job["pixels"]))}
        return {"content_type": transform.apply(source, target, parameters)}
    except Exception as error:  # noqa: BLE001  a decoder may raise anything over a bad file
        return _judge(error, target)


def _judge(error: Exception, target: Path) -> dict[str, str]:
    """Whose fault it is."""
    if isinstance(error, UploadDeferred):
        return {"deferred": str(error)}
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return {"memory": "it needs more memory than limits.memory_mb"}
    if number == errno.EFBIG:
        return {"verdict": "its result is larger than a single PUT takes"}
    if number in _SURROUNDINGS:
        return {"surroundings": f"{os.strerror(number)} in {target.parent}"}
    plain = isinstance(error, InvalidInput)
    return {"verdict": str(error) if plain else f"{type(error).__name__}: {error}"}


def _silence() -> None:
    """Libraries in C write what they like to 1 and 2: not into our answers or the journal."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


if __name__ == "__main__":
    main()
