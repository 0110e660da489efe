"""Memory that a child shares with its parent: for small files, instead of the disk.

Creating, renaming and deleting a file's input and result took a seventh of a pass's CPU time.
"""

import fcntl
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

#: Bytes of an input, and of all results of a job, at most.
MAX_BYTES = 1 << 20
# linux/memfd.h, linux/fcntl.h; Python has them for Linux alone.
_ALLOW_SEALING, _ADD_SEALS, _SEAL, _SHRINK, _GROW = 2, 1033, 1, 2, 4
_READ_ONLY = 0o400


class JobMemory:
    """The memory of one child, which inherits its descriptors.

    The child can read inputs but not change them. What it writes as results is copied before it is
    checked. It can enlarge neither: none of its limits would cover that (memfd_create(2)).

    Attributes:
        input: The descriptor that the child reads.
        results: The descriptor that the child writes to; it has `MAX_BYTES`.

    Raises:
        OSError: This system has no such memory.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError("no memfd_create")
        with ExitStack() as opened:
            self._written = os.memfd_create("input", os.MFD_CLOEXEC)
            opened.callback(os.close, self._written)
            # The child, which has no rights beyond those of its user, cannot open it for writing.
            os.fchmod(self._written, _READ_ONLY)
            self.input = os.open(f"/proc/self/fd/{self._written}", os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, self.input)
            self.results = os.memfd_create("results", os.MFD_CLOEXEC | _ALLOW_SEALING)
            opened.callback(os.close, self.results)
            os.ftruncate(self.results, MAX_BYTES)
            fcntl.fcntl(self.results, _ADD_SEALS, _SEAL | _SHRINK | _GROW)
            self._opened = opened.pop_all()

    @property
    def input_path(self) -> str:
        """Where the child finds the input."""
        return f"/proc/self/fd/{self.input}"

    def put(self, content: bytes) -> None:
        """Replace the input."""
        os.ftruncate(self._written, len(content))
        os.pwrite(self._written, content, 0)

    def take(self, sizes: Sequence[object]) -> list[bytes]:
        """Return copies of the results, which lie one after another.

        Args:
            sizes: Their bytes, as the child reported them.

        Raises:
            ValueError: The sizes are not whole numbers, or exceed the memory.
        """
        if not all(isinstance(size, int) and 0 <= size <= MAX_BYTES for size in sizes):
            raise ValueError(sizes)
        found, at = list[bytes](), 0
        for size in sizes:
            assert isinstance(size, int)  # noqa: S101
            content = os.pread(self.results, size, at)
            if len(content) != size:
                raise ValueError(sizes)
            found.append(content)
            at += size
        return found

    def close(self) -> None:
        """Close the descriptors; the memory is freed once the child has ended as well."""
        self._opened.close()


def write_results(descriptor: int, contents: Sequence[bytes]) -> None:
    """Write results in the child, one after another.

    Args:
        descriptor: `JobMemory.results`.
        contents: Together at most `MAX_BYTES`.
    """
    at = 0
    for content in contents:
        at += os.pwrite(descriptor, content, at)
