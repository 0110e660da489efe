"""A source file seen as memory, and pieces of it copied by the kernel, past this process."""

import mmap
import os
from pathlib import Path
from typing import BinaryIO

_SMALL = 1 << 16


class MappedFile:
    """A file to read; `data` may be given to C, which takes it for writable (copies are ours)."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.data = memoryview(mapped)

    def copy(self, start: int, end: int, out: BinaryIO) -> None:
        """Append bytes of the file as they are."""
        if end - start < _SMALL or not hasattr(os, "sendfile"):
            out.write(self.data[start:end])
            return
        out.flush()
        while start < end:
            try:
                start += os.sendfile(out.fileno(), self._file.fileno(), start, end - start)
            except OSError:  # not between these files: let write say what is wrong, if anything
                out.write(self.data[start:end])
                return
        out.seek(0, os.SEEK_END)
