"""Run a program on the inputs; each file that it writes is a result."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker import folder_removal
from worker.errors import InvalidInput, ServiceUnavailable
from worker.transforms import Input, Produced, Resources
from worker.transforms.command.parameters import Parameters
from worker.transforms.results_folder import collect

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: ru_maxrss is in KiB, in bytes on macOS (getrusage(2)).
_RSS_BYTES = 1 if sys.platform == "darwin" else 1024
_resources = Resources()


def start(parameters: Parameters, resources: Resources) -> None:
    """Keep the pipeline's folder, and look for the program.

    Raises:
        ServiceUnavailable: The program is not there.
    """
    global _resources  # noqa: PLW0603  once per process
    _resources = resources
    program = parameters.argv[0]
    if "{inputs}" not in program and "{outputs}" not in program:
        (path, *_) = parameters.command(_paths(Path(), Path(), Path()))
        if not shutil.which(path, path=_environment()["PATH"]):
            raise ServiceUnavailable(_missing(program))


def apply(inputs: Sequence[Input], outputs: Path, parameters: Parameters) -> Produced:
    """Run the program; see `Transform.apply`. It prints how the program ended.

    Args:
        inputs: The files of the folder `{inputs}`.
        outputs: The folder `{outputs}`.
        parameters: The program, and what it finds in `{parameters}`.

    Returns:
        All files in `outputs`, the records in its `records.jsonl`.

    Raises:
        InvalidInput: The program failed, or wrote something that is no result.
        ServiceUnavailable: It cannot be started.
    """  # noqa: DOC502  raised by collect
    root = inputs[0].root
    assert root  # noqa: S101  only policy `picture` goes without
    work = Path(tempfile.mkdtemp())
    try:
        values, folder = work / "parameters.json", work / "work"
        values.write_text(json.dumps(parameters.values))
        folder.mkdir()
        paths = _paths(root.resolve(), outputs.resolve(), values)
        ending = _run(parameters, parameters.command(paths), folder)
    finally:
        folder_removal.remove(work)
    if ending:
        raise InvalidInput(f"its command {ending}")
    return collect(outputs)


def _run(parameters: Parameters, command: Sequence[str], folder: Path) -> str:
    """Run a command; return how it failed, "" if it did not."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=1, stderr=2, cwd=folder, env=_environment()
        )
    except OSError as error:
        raise ServiceUnavailable(_missing(parameters.argv[0], error.strerror)) from error
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:  # Ctrl-C of `apply`
        process.kill()
        process.wait()
        raise
    process.returncode = code = os.waitstatus_to_exitcode(status)
    ending = f"ended with status {code}" if code >= 0 else f"was killed by signal {-code}"
    _print_line(
        f"{ending.removeprefix('was ')} after {time.monotonic() - began:.1f} s;"
        f" CPU {usage.ru_utime + usage.ru_stime:.1f} s;"
        f" memory {usage.ru_maxrss * _RSS_BYTES >> 20} MB"
    )
    return ending if code else ""


def _print_line(line: str) -> None:
    """Print a line to standard error, where the program's last line may lack its end."""
    sys.stderr.flush()
    os.write(2, f"\n{line}\n".encode())


def _paths(inputs: Path, outputs: Path, parameters: Path) -> Mapping[str, Path]:
    folder = _resources.folder.resolve() if _resources.folder else Path()
    return {"inputs": inputs, "outputs": outputs, "folder": folder, "parameters": parameters}


def _environment() -> Mapping[str, str]:
    """Return the environment of the program: `python3` is the one with the folder's packages."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = f"{Path(sys.executable).parent}:{own.get('PATH', _PATH)}"
    return {**own, "PATH": path}


def _missing(program: str, reason: str | None = None) -> str:
    remedy = (
        "add it to the folder, and make it executable with chmod +x"
        if "{folder}" in program
        else "name the Debian package that has it in apt"
    )
    what = f"cannot be started ({reason})" if reason else "was not found"
    return f"The program {program!r} of argv {what}: {remedy}."
