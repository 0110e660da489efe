"""The project's folder in the user's cache; `destroy` keeps it."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the project's cache folder (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "image-pipeline"
