"""A backend that is a folder: room in it, and what a full disk did to it."""

import json
import shutil
from pathlib import Path

from cli.errors import CommandError
from cli.terminal import print_progress
from infra.names import PROJECT

#: A state takes some 100 KB, twice; the engine cannot be trusted to stop well without room.
_NEEDED_MIB = 20
_MIB = 2**20


def folder_of(backend: str) -> Path | None:
    """The folder, where the backend is one."""
    if not backend.startswith("file://"):
        return None
    return Path(backend.removeprefix("file://")).expanduser()


def check_room(backend: str) -> None:
    """Raises CommandError where the engine could not write the state down.

    Seen with Pulumi 3.259: on a full disk it goes on for a minute, then leaves half a file.
    """
    folder = folder_of(backend)
    if folder is None:
        return
    free = shutil.disk_usage(folder).free // _MIB
    if free < _NEEDED_MIB:
        raise CommandError(
            f"The disk of the state's folder {folder} has {free} MiB left: make room for "
            f"{_NEEDED_MIB} MiB, then run the same command again."
        )


def state_file(backend: str, stack: str) -> Path | None:
    """Where the engine keeps the stack's state, in a backend that is a folder."""
    folder = folder_of(backend)
    return folder and folder / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"


def mend(backend: str, stack: str) -> None:
    """Put the engine's own copy in place of a state that was cut off; raises CommandError."""
    file = state_file(backend, stack)
    if not file:
        return
    # Content type and hash, beside every file; the engine does without, but not with half of one.
    attributes = file.with_name(file.name + ".attrs")
    if attributes.exists() and not _is_whole(attributes):
        attributes.unlink()
    if not file.exists() or _is_whole(file):
        return
    copy = file.with_name(file.name + ".bak")
    if not _is_whole(copy):
        raise CommandError(
            f"The state {file} is cut off, and so is its copy: put one from a backup there, or "
            f"remove the file and see './pipeline strays --stack {stack}'."
        )
    shutil.copyfile(copy, file)
    print_progress(
        f"The state was cut off: the engine's last copy of it was put back ({copy.name})."
    )


def _is_whole(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
