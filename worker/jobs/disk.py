"""The disk that jobs work on: what they need of it, and what it has."""

import shutil
from pathlib import Path


def needed(size: int) -> int:
    """Return the bytes that an upload of a size needs: for itself, and as much for its results."""
    return 2 * size


class Disk:
    """The file system of a folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def free(self) -> int:
        """Its free bytes."""
        return shutil.disk_usage(self._folder).free

    @property
    def capacity(self) -> int:
        """What one upload may need, however long it waits: the free bytes, half of all at least.

        A disk that is fuller than that is the machine's problem, not the upload's.
        """
        usage = shutil.disk_usage(self._folder)
        return max(usage.free, usage.total // 2)
