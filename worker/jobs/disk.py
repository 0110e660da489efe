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
        capacity: The most that one upload may need: the free bytes, but at least half of the
            disk. If the disk is fuller than that, the upload waits until space is free.
    """

    free: int
    capacity: int

    def needed(self, size: int) -> int:
        """Return the bytes that an upload of a size needs: for itself, and as many for its results.

        An upload that is too large needs none: it is not downloaded.
        """
        return 0 if self.excess(size) else 2 * size

    def excess(self, size: int) -> str | None:
        """Return why an upload of a size cannot be processed on this machine, None if it can."""
        if size > MAX_PUT_BYTES:
            return f"its {size} bytes are more than 5 GiB, the limit of a single PUT: split it"
        if 2 * size > self.capacity:
            return (
                f"it needs {2 * size} bytes of disk, for itself and its results, and the machine "
                f"has {self.capacity}: split it, or use a flavor with a larger disk"
            )
        return None


def measure(folder: Path) -> Space:
    """Return the space of the disk that a folder is on."""
    usage = shutil.disk_usage(folder)
    return Space(usage.free, max(usage.free, usage.total // 2))
