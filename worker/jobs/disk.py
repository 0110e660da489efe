"""The space that jobs need on the disk, and the space that it has."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from worker.uploads.upload import MAX_PUT_BYTES


@dataclass(frozen=True)
class Space:
    """The space of a disk.

    Attributes:
        free: Its free bytes.
        capacity: The most that one upload may need: the bytes that are or were free, but at least
            half of the disk. If the disk is fuller than that, the upload waits until space is free.
    """

    free: int
    capacity: int

    def needed(self, size: int, gathered: int = 0) -> int:
        """Return the bytes that an upload needs: for its inputs, and as many for its results.

        An upload that is too large needs none: it is not downloaded.

        Args:
            size: The upload's.
            gathered: The bytes of the results that it gathers.
        """
        return 0 if self.excess(size, gathered) else 2 * (size + gathered)

    def excess(self, size: int, gathered: int = 0) -> str | None:
        """Return why an upload cannot be processed on this machine, None if it can."""
        if size > MAX_PUT_BYTES:
            return f"its {size} bytes are more than 5 GiB, the limit of a single PUT: split it"
        needed = 2 * (size + gathered)
        if needed > self.capacity:
            inputs = "its members" if gathered else "itself"
            return (
                f"it needs {needed} bytes of disk, for {inputs} and its results, and the machine "
                f"has {self.capacity}: split it, or use a flavor with a larger disk"
            )
        return None


class Disk:
    """The disk that a folder is on.

    What was free once counts as its capacity: the files of running jobs must not make an upload too
    large that fits as soon as they have ended.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._capacity = folder, 0

    def measure(self) -> Space:
        """Return its space."""
        usage = shutil.disk_usage(self._folder)
        self._capacity = max(self._capacity, usage.free, usage.total // 2)
        return Space(usage.free, self._capacity)
