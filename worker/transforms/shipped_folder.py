"""The files of a pipeline's folder that go to its machine."""

import os
from pathlib import Path
from typing import NoReturn

from worker.errors import InvalidSettings

#: Files that desktops leave in folders.
_IGNORED = ("Thumbs.db", "desktop.ini")
_MOST_FILES, _MOST_BYTES = 10_000, 2**30


def is_shipped(name: str) -> bool:
    """Return whether a file or folder of this name is shipped: hidden and derived ones are not."""
    is_derived = name == "__pycache__" or name.endswith(".pyc")
    return not (name.startswith(".") or is_derived or name in _IGNORED)


def shipped_files(folder: Path) -> dict[str, Path]:
    """List what is shipped of a folder.

    Args:
        folder: The folder on the operator's computer.

    Returns:
        Path below the folder -> file, sorted by path. A link to a file inside is a file.

    Raises:
        InvalidSettings: A sentence about the first file that cannot be shipped, or about the size.
    """
    if not os.path.isdir(folder):  # noqa: PTH112  pathlib raises OSError for a name that is too long
        raise InvalidSettings([f"folder is {str(folder)!r}, which is not a folder: name one."])
    found: dict[str, Path] = {}
    size, root = 0, folder.resolve()
    for at, below, names in os.walk(folder, onerror=lambda error: _refuse(error.filename)):
        below[:] = filter(is_shipped, below)
        links = [name for name in below if Path(at, name).is_symlink()]
        for name in filter(is_shipped, [*names, *links]):
            path = Path(at, name)
            is_good = path.is_file() and os.access(path, os.R_OK)  # no link to itself
            is_inside = is_good and (not path.is_symlink() or path.resolve().is_relative_to(root))
            if not (is_inside and name.isprintable()):
                _refuse(path)
            found[path.relative_to(folder).as_posix()] = path
            size += path.stat().st_size
            if len(found) > _MOST_FILES or size > _MOST_BYTES:
                most = f"{_MOST_FILES:,} files or {_MOST_BYTES >> 30} GiB"
                raise InvalidSettings(
                    [f"folder has more than {most} ({folder}): put large data into a bucket."]
                )
    if not found:
        raise InvalidSettings(
            [f"folder is {str(folder)!r}, which has no files: put the transform's files into it."]
        )
    return dict(sorted(found.items()))


def _refuse(path: object) -> NoReturn:
    raise InvalidSettings(
        [
            f"folder has {str(path)!r}, which is not a readable file inside it: copy into the"
            " folder what a link names, or remove it."
        ]
    )
