"""Read an input as memory, and copy parts of it in the kernel."""

import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from worker.errors import InvalidInput

#: A part of a file and what replaces it: first byte, end, new bytes.
Change = tuple[int, int, bytes]
_SENDFILE_FROM = 1 << 16  # bytes; below, a system call costs more than the copy


class MappedFile:
    """A file mapped into memory.

    Attributes:
        path: The file.
        data: Its bytes. The mapping is private and writable, since ctypes takes no read-only
            buffers without a copy; it is never written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        if not os.fstat(self._file.fileno()).st_size:
            self._file.close()
            raise InvalidInput("the file is empty")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.data = memoryview(self._map)

    def release(self) -> None:
        """Let go of the memory that holds what has been read; it is read again where needed."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def copy(self, start: int, end: int, out: BinaryIO) -> None:
        """Append the bytes from start to end to out, by sendfile(2) where that works."""
        if end - start < _SENDFILE_FROM or not hasattr(os, "sendfile"):
            out.write(self.data[start:end])
            return
        out.flush()
        while start < end:
            try:
                start += os.sendfile(out.fileno(), self._file.fileno(), start, end - start)
            except OSError:  # not between these files; or an error that write reports as well
                out.write(self.data[start:end])
                return
        out.seek(0, os.SEEK_END)

    def rewrite(self, changes: Iterable[Change], out: BinaryIO) -> None:
        """Append the file with changes, which come in its order, to out."""
        done = 0
        for start, end, new in changes:
            self.copy(done, start, out)
            out.write(new)
            done = end
        self.copy(done, len(self.data), out)
