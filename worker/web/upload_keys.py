"""The object keys of files that come over HTTP."""

import re
from http import HTTPStatus

from starlette.exceptions import HTTPException

from worker.uploads.upload import MAX_KEY_BYTES, fits_key

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def key_of_file(name: str) -> str:
    """Return the key for a file that a form has: its path below the folder that was chosen.

    Args:
        name: What the form says; with folders if the browser sent a whole one.

    Raises:
        HTTPException: It cannot be a key.
    """  # noqa: DOC502  raised by check_key
    path = _DRIVE.sub("", name, count=1) if _DRIVE.match(name) else name
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return check_key("/".join(parts), name)


def check_key(key: str, shown: str = "") -> str:
    """Return the key if a file may be stored under it.

    Stores that keep objects in files take a key as a path, so it must not lead elsewhere.

    Args:
        key: The key.
        shown: What the sender wrote, if it was something else.

    Raises:
        HTTPException: It may not.
    """
    parts = key.split("/")
    problem = ""
    if not key:
        problem = "is empty: give the file a name"
    elif not {"", ".", ".."}.isdisjoint(parts):
        problem = "has a part that is empty, '.' or '..': leave it out"
    elif _CONTROLS.search(key):
        problem = "has control characters: rename the file"
    elif not fits_key(key):
        problem = f"is longer than {MAX_KEY_BYTES} bytes: shorten it"
    if problem:
        shortened = (shown or key)[:80]
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"The name {shortened!r} {problem}.")
    return key
